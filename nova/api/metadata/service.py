"""The metadata service as a WSGI application.

::

    socket inside a network -> environ['strata.socket'] = the network's id
    environ['REMOTE_ADDR']  -> the port that holds the address there -> its server

Nothing a client says is believed: no header names a server.  A request that
came by no network's socket is answered 404.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from nova.compute import metadata_tree, passwords
from nova.compute.metadata_tree import EC2, LATEST, OPENSTACK, Facts
from nova.db import servers
from nova.network import ports
from nova.wiring import Wiring
from strata import errors
from strata.context import background
from strata.rest import Request
from strata.rest.request import Response

LOG = logging.getLogger(__name__)

#: bytes of a password that a guest may post
LARGEST_PASSWORD = 1020
Tree = Mapping[str, Any]


class Metadata:
    """The application of one process."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        req = Request(environ, self._wiring)
        try:
            response = self._respond(req)
        except errors.Error as error:
            response = Response(error.status, f'{error}\n', error.headers)
        except Exception:
            LOG.exception('metadata %s', environ.get('PATH_INFO'))
            response = Response(500, 'The failure has been logged.\n')
        status, headers, body = response.start(200, [])
        start_response(status, headers)
        return body

    def _respond(self, req: Request) -> Response:
        path = [part for part in req.path.split('/') if part]
        if req.method not in ('GET', 'HEAD', 'POST'):
            raise errors.NotAllowed(allow='GET, HEAD', headers={'Allow': 'GET, HEAD'})
        facts = self._facts(req)
        if req.method == 'POST':
            return self._post(req, facts, path)
        if path[:1] == ['openstack']:
            return _openstack(facts, path[1:])
        return _ec2(facts, path)

    def _facts(self, req: Request) -> Facts:
        network, address = req.environ.get('strata.socket'), req.environ.get('REMOTE_ADDR', '')
        with self._wiring.db.reading() as tx:
            id = ports.at_address(tx, str(network), address) if network is not None else None
            if id is None:
                raise errors.NotFound('No server is known at this address.')
            server = servers.get(tx, background('metadata'), id)
        return metadata_tree.gather(self._wiring, server)

    def _post(self, req: Request, facts: Facts, path: list[str]) -> Response:
        if path[:1] != ['openstack'] or path[2:] != ['password'] or path[1] not in (*OPENSTACK[1:], LATEST):
            raise errors.NotAllowed(allow='GET, HEAD', headers={'Allow': 'GET, HEAD'})
        text = req.environ['wsgi.input'].read(LARGEST_PASSWORD + 1)
        if len(text) > LARGEST_PASSWORD:
            raise errors.Invalid('The password is longer than {most} bytes.', most=LARGEST_PASSWORD)
        passwords.put(self._wiring, facts.server.id, text.decode('utf-8', 'replace'))
        return Response(200, '')


def _missing() -> errors.NotFound:
    return errors.NotFound('There is nothing here.')


def _openstack(facts: Facts, path: list[str]) -> Response:
    if not path:
        return _text('\n'.join((*OPENSTACK, LATEST)))
    held = metadata_tree.openstack(facts)
    at = '/'.join(['openstack', *path])
    if at in held:
        kind = 'application/json' if at.endswith('.json') else 'application/octet-stream'
        return Response(200, held[at], content_type=kind)
    below = sorted({name[len(at) + 1:].partition('/')[0] for name in held if name.startswith(at + '/')})
    if not below:
        raise _missing()
    return _text('\n'.join(below))


def _ec2(facts: Facts, path: list[str]) -> Response:
    if not path:
        return _text('\n'.join((*EC2, LATEST)))
    if path[0] not in (*EC2, LATEST):
        raise _missing()
    if path[1:] == ['user-data']:
        if facts.user_data is None:
            raise _missing()
        return Response(200, facts.user_data, content_type='application/octet-stream')
    node: Any = {'meta-data': metadata_tree.ec2(facts)}
    if len(path) == 1:
        return _text('\n'.join(['meta-data/', *(['user-data'] if facts.user_data is not None else [])]))
    for name in path[1:]:
        if not isinstance(node, dict) or name.startswith('_') or name not in node:
            raise _missing()
        node = node[name]
    if isinstance(node, dict):
        return _text(_listing(node))
    return _text('\n'.join(node) if isinstance(node, list) else node)


def _listing(node: Tree) -> str:
    """The names in a directory, those of directories with a slash; a key's directory says the key's name."""
    names = []
    for name, child in sorted(node.items()):
        if name.startswith('_'):
            continue
        label = child.get('_name') if isinstance(child, dict) else None
        names.append(label or (f'{name}/' if isinstance(child, dict) else name))
    return '\n'.join(names)


def _text(text: str) -> Response:
    return Response(200, text, content_type='text/plain; charset=UTF-8')
