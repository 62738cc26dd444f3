"""/info: what this cluster can do, and all of it for whoever signs with the admin key."""

import hashlib
import hmac
import json
import time
from typing import Any

from strata import crypt
from swift.http import info
from swift.http.request import Request
from swift.http.response import HttpError, Response

#: length of a signature -> its digest
DIGESTS = {40: hashlib.sha1, 64: hashlib.sha256, 128: hashlib.sha512}
#: a HEAD is as good as a GET
SIGNED = {'GET': ('GET',), 'HEAD': ('HEAD', 'GET')}


def answer(app: Any, req: Request) -> Response:
    """GET, HEAD and OPTIONS; raises ``HttpError`` 401, 403 or 405."""
    if req.method == 'OPTIONS':
        return Response(200, b'', {'Allow': 'GET, HEAD, OPTIONS'})
    if req.method not in SIGNED:
        raise HttpError(405, headers={'Allow': 'GET, HEAD, OPTIONS'})
    if not app.conf.expose_info:
        raise HttpError(403)
    signature, expires = req.params.get('swiftinfo_sig', ''), req.params.get('swiftinfo_expires', '')
    admin = bool(signature or expires)
    if admin:
        _check(app.conf.admin_key, req.method, signature, expires)
    origin = req.headers.get('Origin')
    headers = {'Content-Type': 'application/json; charset=UTF-8'}
    if origin:
        headers['Access-Control-Allow-Origin'] = origin
        headers['Access-Control-Expose-Headers'] = 'x-trans-id, x-openstack-request-id'
        headers['Vary'] = 'Origin'
    return Response(200, json.dumps(info.get(admin, app.conf.disallowed_sections)), headers)


def _check(key: str, method: str, signature: str, expires: str) -> None:
    if not key:
        raise HttpError(403)
    digest = DIGESTS.get(len(signature))
    if digest is None or not expires.isdecimal() or len(expires) > 20 \
            or int(expires) < time.time():
        raise HttpError(401)
    for signed in SIGNED[method]:
        good = hmac.new(key.encode(), f'{signed}\n{expires}\n/info'.encode(), digest).hexdigest()
        if crypt.equal(good, signature):
            return
    raise HttpError(401)
