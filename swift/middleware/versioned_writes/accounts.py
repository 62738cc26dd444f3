"""Listings of accounts: the bytes of hidden containers are counted to those they belong to."""

from typing import Any

import orjson

from swift.http import Request, Response
from swift.middleware.versioned_writes import names

#: behind every name that begins as another
BEHIND = '\x01'


def respond(app: Any, request: Request) -> Response:
    """The answer to a GET of an account."""
    response = request.respond(app)
    if response.status != 200 or not response.headers.get('Content-Type', '').startswith('application/json'):
        return response
    entries = [entry for entry in orjson.loads(response.body) if 'name' in entry]
    if not entries or str(len(entries)) == response.headers.get('X-Account-Container-Count'):
        return response     # nothing is hidden
    shown = [entry['name'] for entry in entries]
    hidden = _hidden(app, request, min(shown), max(shown))
    if hidden:
        whole = orjson.loads(response.body)
        for entry in whole:
            if 'name' in entry:
                entry['bytes'] += hidden.get(names.hidden_container(entry['name']), 0)
        response.body = orjson.dumps(whole)
    return response


def _hidden(app: Any, request: Request, first: str, last: str) -> dict[str, int]:
    """Bytes of the hidden containers of the names between."""
    version, account = request.split(2, 2)
    query = {'format': 'json', 'marker': names.hidden_container(first)[:-1],
             'end_marker': names.hidden_container(last) + BEHIND}
    response = names.own(request, app, 'GET', names.quoted(version, account, query=query))
    if response.status != 200:
        response.drain()
        return {}
    return {entry['name']: entry['bytes'] for entry in orjson.loads(response.body) if 'name' in entry}
