"""REPLICATE: the hashes of a partition's suffixes, by which a replicator elsewhere sees what differs."""

from typing import TYPE_CHECKING

from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.obj.hashes import SUFFIX
from swift.storage import pickles

if TYPE_CHECKING:
    from swift.obj.server import ObjectServer


def replicate(server: 'ObjectServer', request: Request) -> Response:
    """A pickled dictionary; the suffixes of the path are hashed anew."""
    from swift.obj.server import check_place
    try:
        device, partition, wanted = request.split(2, 3)
    except ValueError:
        raise HttpError(400, f'Invalid path: {request.path}') from None
    check_place(device, partition)
    suffixes = [each for each in (wanted or '').split('-') if each]
    if not all(SUFFIX.match(each) for each in suffixes):
        raise HttpError(400, f'Invalid suffixes: {wanted}')
    _, hashes = server.store.hashes(device, partition, suffixes, server.policy(request))
    return Response(200, pickles.dumps(hashes), {'Content-Type': 'application/octet-stream'})
