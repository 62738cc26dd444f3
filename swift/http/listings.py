"""Listings of accounts and containers as text and XML: what storage servers and proxies write alike."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from swift.http.accept import best
from swift.http.request import Request
from swift.http.response import HttpError

#: values of ``format=``; anything else is text
FORMATS = {'plain': 'text/plain', 'json': 'application/json', 'xml': 'application/xml'}
OFFERED = ('text/plain', 'application/json', 'application/xml', 'text/xml')
#: what XML 1.0 cannot say at all, escaped or not
_NOT_XML = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_QUOTES = {'"': '&quot;', '\n': '&#10;', '\r': '&#13;', '\t': '&#9;'}

Entry = dict[str, Any]


def chosen_type(request: Request) -> str:
    """The media type to answer in: by ``format``, else by Accept; raises ``HttpError`` 400 or 406."""
    wanted = request.params.get('format')
    if wanted is not None:
        return FORMATS.get(wanted.lower(), FORMATS['plain'])
    try:
        found = best(request.headers.get('Accept'), OFFERED)
    except ValueError as error:
        raise HttpError(400, str(error)) from None
    if found is None:
        raise HttpError(406)
    return found


def text(entries: Iterable[Entry]) -> bytes:
    """A name a line."""
    return ''.join([f'{each["name"] if "name" in each else each["subdir"]}\n' for each in entries]).encode(
        'utf-8', 'replace')


def account_xml(name: str, entries: Iterable[Entry]) -> bytes:
    """The document of an account: its containers."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<account name={_attribute(name)}>']
    for each in entries:
        if 'subdir' in each:
            lines.append(f'<subdir name={_attribute(each["subdir"])} />')
        else:
            fields = _fields(each, ('name', 'count', 'bytes', 'last_modified', 'storage_policy'))
            lines.append(f'<container>{fields}</container>')
    lines.append('</account>')
    return '\n'.join(lines).encode('utf-8')


def container_xml(name: str, entries: Iterable[Entry]) -> bytes:
    """The document of a container: its objects."""
    parts = []
    for each in entries:
        if 'subdir' in each:
            subdir = each['subdir']
            parts.append(f'<subdir name={_attribute(subdir)}><name>{_content(subdir)}</name></subdir>')
        else:
            fields = _fields(each, ('name', 'hash', 'bytes', 'content_type', 'last_modified'))
            parts.append(f'<object>{fields}</object>')
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<container name={_attribute(name)}'
    return (f'{head}>{"".join(parts)}</container>' if parts else f'{head} />').encode('utf-8')


def _fields(entry: Mapping[str, Any], names: Iterable[str]) -> str:
    return ''.join([f'<{name}>{_content(entry[name])}</{name}>' for name in names if name in entry])


def _content(value: Any) -> str:
    return escape(_NOT_XML.sub('\ufffd', str(value)))


def _attribute(value: str) -> str:
    return '"' + escape(_NOT_XML.sub('\ufffd', value), _QUOTES) + '"'
