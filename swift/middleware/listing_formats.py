"""Listings of accounts and containers as text, JSON or XML: the servers speak JSON, clients choose.

    [filter:listing_formats]
    use = egg:swift#listing_formats

``format=`` decides, else Accept.  JSON passes through as it is; only names of
the system's own namespace are taken out of it.
"""

import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from swift import conf as confs
from swift.constraints import Constraints, load
from swift.http import HttpError, Request, Response, listings, serving
from swift.http.listings import Entry

#: what a name of the system's own namespace begins with
RESERVED = '\x00'


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
        chosen = listings.chosen_type(request)
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
            response.body = listings.text(entries)
            if not entries:
                response.status = 204
            return response
        pieces = request.split(2, 3, rest=True)
        name = (pieces[2] or '').rstrip('/') if self._kind(request.path_info) == 'container' else None
        response.body = listings.container_xml(name, entries) if name is not None else \
            listings.account_xml(pieces[1], entries)
        return response


def visible(entries: list[Entry]) -> list[Entry]:
    """Without those whose names are the system's own."""
    return [each for each in entries if not (each.get('name') or each.get('subdir') or '').startswith(RESERVED)]


def _vary(value: str | None) -> str:
    if not value:
        return 'Accept'
    said = [each.strip().lower() for each in value.split(',')]
    return value if 'accept' in said or '*' in said else f'{value}, Accept'


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], ListingFormats]:
    """paste."""
    constraints = load({**global_conf, **local_conf}.get('swift_dir', '/etc/swift'))
    return lambda app: ListingFormats(app, constraints)
