"""Listings of accounts and containers as text, JSON or XML: the servers speak JSON, clients choose.

    [filter:listing_formats]
    use = egg:swift#listing_formats

``format=`` decides, else Accept.  JSON passes through as it is; only names of
the system's own namespace are taken out of it.
"""

import functools
import re
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

import orjson

from swift import conf as confs
from swift.constraints import Constraints, load
from swift.http import HttpError, Request, Response, serving

#: values of ``format=``; anything else is text
FORMATS = {'plain': 'text/plain', 'json': 'application/json', 'xml': 'application/xml'}
OFFERED = ('text/plain', 'application/json', 'application/xml', 'text/xml')
#: what a name of the system's own namespace begins with
RESERVED = '\x00'

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE = re.compile(rf'\s*({_WORD})/({_WORD})((?:\s*;\s*{_WORD}\s*=\s*(?:{_WORD}|"[^"]*"))*)\s*\Z')
_QUALITY = re.compile(r';\s*q\s*=\s*([^;]*)', re.I)

Entry = dict[str, Any]


class ListingFormats:
    """The filter."""

    def __init__(self, app: Any, constraints: Constraints) -> None:
        self.app = app
        self._versions = frozenset(constraints.valid_api_versions)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['REQUEST_METHOD'] not in ('GET', 'HEAD') or self._kind(environ['PATH_INFO']) is None:
            return self.app(environ, start_response)
        return self.list(environ, start_response)

    def _kind(self, path: str) -> str | None:
        """``account`` or ``container`` if that is what the path is of."""
        pieces = path.split('/', 4)
        if len(pieces) < 3 or pieces[1] not in self._versions or not pieces[2] or pieces[0]:
            return None
        if len(pieces) == 3 or (len(pieces) == 4 and not pieces[3]):
            return 'account'
        return 'container' if len(pieces) == 4 or not pieces[4] else None

    @serving
    def list(self, request: Request) -> Response:
        """Ask for JSON, and answer in the client's form."""
        chosen = chosen_type(request)
        negotiated = 'format' not in request.params
        # the query may hold parameters of other filters twice: only ours is replaced
        pairs = [pair for pair in urllib.parse.parse_qsl(request.query_string, keep_blank_values=True)
                 if pair[0] != 'format']
        request.query_string = urllib.parse.urlencode([*pairs, ('format', 'json')])
        response = request.respond(self.app)
        kind = response.headers.get('Content-Type', '').partition(';')[0].strip()
        written = request.environ.get('swift.format_listing') is False      # by a filter, as JSON for the client
        if written and response.is_success and chosen == 'application/xml':
            response.close()
            raise HttpError(406)
        if not response.is_success or kind != 'application/json' or written:
            return response
        if negotiated:
            response.headers['Vary'] = _vary(response.headers.get('Vary'))
        response.headers['Content-Type'] = f'{chosen}; charset=utf-8'
        if request.method == 'HEAD':
            return response
        return self._written(request, response, chosen)

    def _written(self, request: Request, response: Response, chosen: str) -> Response:
        hides = not confs.true(request.headers.get('X-Backend-Allow-Reserved-Names'))
        if response.status == 204:
            body, response.status = b'[]', 200
            response.close()
        else:
            body = response.body
        if chosen == 'application/json':
            if hides and b'\\u0000' in body:
                body = orjson.dumps(visible(orjson.loads(body)))
            response.body = body
            return response
        entries: list[Entry] = orjson.loads(body)
        if hides and b'\\u0000' in body:
            entries = visible(entries)
        if chosen == 'text/plain':
            text = ''.join([f'{each["name"] if "name" in each else each["subdir"]}\n' for each in entries])
            response.body = text
            if not text:
                response.status = 204
            return response
        pieces = request.split(2, 3, rest=True)
        name = (pieces[2] or '').rstrip('/') if self._kind(request.path_info) == 'container' else None
        response.body = container_xml(name, entries) if name is not None else account_xml(pieces[1], entries)
        return response


def chosen_type(request: Request) -> str:
    """The media type to answer in; raises ``HttpError`` 400 for a malformed Accept, 406 if we have none of it."""
    wanted = request.params.get('format')
    if wanted is not None:
        return FORMATS.get(wanted.lower(), 'text/plain')
    accept = request.headers.get('Accept')
    if not accept:
        return 'text/plain'
    try:
        found = best(accept)
    except ValueError:
        raise HttpError(400, 'Invalid Accept header') from None
    if found is None:
        raise HttpError(406)
    return found


@functools.lru_cache(256)
def best(accept: str) -> str | None:
    """Of what we offer that which is liked best; raises ``ValueError`` if Accept is malformed."""
    ranges = []
    for position, piece in enumerate(accept.split(',')):
        match = _RANGE.match(piece)
        if match is None:
            raise ValueError(f'no media range: {piece!r}')
        kind, sub = match.group(1).lower(), match.group(2).lower()
        quality = _QUALITY.search(match.group(3))
        weight = float(quality.group(1)) if quality else 1.0
        ranges.append((-weight, (kind == '*') + (sub == '*'), position, kind, sub))
    for *_, kind, sub in sorted(ranges):
        for offered in OFFERED:
            major, _, minor = offered.partition('/')
            if kind in ('*', major) and sub in ('*', minor):
                return offered
    return None


def visible(entries: list[Entry]) -> list[Entry]:
    """Without those whose names are the system's own."""
    return [each for each in entries if not (each.get('name') or each.get('subdir') or '').startswith(RESERVED)]


def _vary(value: str | None) -> str:
    if not value:
        return 'Accept'
    said = [each.strip().lower() for each in value.split(',')]
    return value if 'accept' in said or '*' in said else f'{value}, Accept'


def _attribute(value: str) -> str:
    return '"' + escape(value, {'"': '&quot;', '\n': '&#10;', '\r': '&#13;', '\t': '&#9;'}) + '"'


def account_xml(name: str, entries: list[Entry]) -> bytes:
    """The document of an account: its containers."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<account name={_attribute(name)}>']
    for each in entries:
        if 'subdir' in each:
            lines.append(f'<subdir name={_attribute(each["subdir"])} />')
            continue
        fields = ''.join([f'<{key}>{escape(str(each[key]))}</{key}>'
                          for key in ('name', 'count', 'bytes', 'last_modified', 'storage_policy') if key in each])
        lines.append(f'<container>{fields}</container>')
    lines.append('</account>')
    return _encoded('\n'.join(lines))


def container_xml(name: str, entries: list[Entry]) -> bytes:
    """The document of a container: its objects."""
    parts = []
    for each in entries:
        if 'subdir' in each:
            subdir = each['subdir']
            parts.append(f'<subdir name={_attribute(subdir)}><name>{escape(subdir)}</name></subdir>')
            continue
        fields = ''.join([f'<{key}>{escape(str(each[key]))}</{key}>'
                          for key in ('name', 'hash', 'bytes', 'content_type', 'last_modified') if key in each])
        parts.append(f'<object>{fields}</object>')
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<container name={_attribute(name)}'
    return _encoded(f'{head}>{"".join(parts)}</container>' if parts else f'{head} />')


def _encoded(document: str) -> bytes:
    return document.encode('utf-8', 'surrogateescape')


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], ListingFormats]:
    """paste."""
    constraints = load({**global_conf, **local_conf}.get('swift_dir', '/etc/swift'))
    return lambda app: ListingFormats(app, constraints)
