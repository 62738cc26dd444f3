"""The pages that staticweb makes; everything in them that somebody else wrote is escaped."""

import html
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

_UNITS = ('', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei')
_STYLE = """  <style type="text/css">
   h1 {font-size: 1em; font-weight: bold;}
   th {text-align: left; padding: 0px 1em 0px 1em;}
   td {padding: 0px 1em 0px 1em;}
   a {text-decoration: none;}
  </style>"""


def listing(title: str, prefix: str, found: Iterable[Mapping[str, Any]], *, css: str = '', query: str = '',
            parent: bool = False) -> str:
    """What is below a prefix: directories first.  ``css``: an address, or a path from the top of the site."""
    rows = [_row('parent', 'item', f'../?{query}' if query else '../', '../')] if parent else []
    entries = [each for each in found if each.get('name', each.get('subdir')) != prefix]
    for each in entries:
        if 'subdir' in each:
            name = each['subdir'][len(prefix):]
            rows.append(_row('', 'item subdir', _link(name, query), name))
    for each in entries:
        if 'name' in each:
            name = each['name'][len(prefix):]
            kinds = ' '.join(f'type-{piece.strip().lower()}' for piece in
                             each.get('content_type', '').partition(';')[0].split('/') if piece.strip())
            date = each.get('last_modified', '').partition('.')[0].replace('T', ' ')
            rows.append(_row('', f'item {kinds}'.rstrip(), _link(name, query), name, size(each.get('bytes', 0)), date))
    heading = f'Listing of {html.escape(title)}'
    return '\n'.join(['<!DOCTYPE html>', '<html>', ' <head>', f'  <title>{heading}</title>', _style(css, prefix),
                      ' </head>', ' <body>', f'  <h1 id="title">{heading}</h1>', '  <table id="listing">',
                      '   <tr id="heading">', '    <th class="colname">Name</th>', '    <th class="colsize">Size</th>',
                      '    <th class="coldate">Date</th>', '   </tr>', *rows, '  </table>', ' </body>', '</html>', ''])


def disabled(path: str, index: str) -> str:
    """Instead of a listing, where the site's owner does not want one."""
    why = ''
    if index:
        why = ('  <h1>Index File Not Found</h1>\n  <p>The index page of this site, '
               f'<b>X-Container-Meta-Web-Index: {html.escape(index)}</b>, is not here.</p>\n')
    return ('<!DOCTYPE html>\n<html>\n <head>\n'
            f'  <title>Listing of {html.escape(path)}</title>\n{_STYLE}\n </head>\n <body>\n'
            '  <h1>Web Listing Disabled</h1>\n  <p>The owner of this web site shows no listings.</p>\n'
            '  <p>If you are the owner, set X-Container-Meta-Web-Listings to have them.</p>\n'
            f'{why} </body>\n</html>\n')


def size(number: int) -> str:
    """Bytes, rounded to 1024s of the unit that leaves less than 1024 of it."""
    value, unit = float(number), 0
    while round(value) >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f'{round(value)}{_UNITS[unit]}'


def _style(css: str, prefix: str) -> str:
    if not css:
        return _STYLE
    if not css.startswith(('http://', 'https://', '/')):
        css = '../' * prefix.count('/') + urllib.parse.quote(css)
    return f'  <link rel="stylesheet" type="text/css" href="{html.escape(css)}" />'


def _link(name: str, query: str) -> str:
    # a name with a colon would else be taken for a scheme
    link = './' + urllib.parse.quote(name.encode('utf-8', 'replace'))
    return f'{link}?{query}' if query else link


def _row(ident: str, classes: str, link: str, name: str, amount: str = '&nbsp;', date: str = '&nbsp;') -> str:
    start = f'id="{ident}" ' if ident else ''
    return (f'   <tr {start}class="{html.escape(classes)}">\n'
            f'    <td class="colname"><a href="{html.escape(link)}">{html.escape(name)}</a></td>\n'
            f'    <td class="colsize">{amount}</td>\n    <td class="coldate">{html.escape(date) if date else ""}</td>\n'
            '   </tr>').replace('&amp;nbsp;', '&nbsp;')
