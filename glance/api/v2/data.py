"""Data of images -- /images/{id}/file and /images/{id}/stage."""

import re
from typing import Any

from glance import uploads
from glance.api import app, policy
from strata import errors
from strata.rest import Request, Response

_RANGE = re.compile(r'bytes=\s*(\d{0,19})-(\d{0,19})\s*\Z', re.ASCII)
_CONTENT_RANGE = re.compile(r'bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\Z', re.ASCII)


def _announced(req: Request) -> int | None:
    """How many bytes the client says it sends; ``errors.Invalid`` if it contradicts itself."""
    said = []
    for name in ('Content-Length', 'X-OpenStack-Image-Size'):
        value = req.header(name)
        if value is not None and value != '':
            if not re.fullmatch(r'[0-9]{1,18}', value, re.ASCII):
                raise errors.Invalid('{name} must be a non-negative integer.', name=name)
            said.append(int(value))
    if len(set(said)) > 1:
        raise errors.Invalid('X-OpenStack-Image-Size ({theirs}) is not the Content-Length ({length}).',
                             theirs=said[1], length=said[0])
    return said[0] if said else None


def _octets(req: Request) -> Any:
    kind = (req.header('Content-Type') or '').partition(';')[0].strip().lower()
    if kind != 'application/octet-stream':
        raise errors.UnsupportedMedia(type=kind[:80] or 'none')
    return req.environ['wsgi.input']


@app.put('/images/{id}/file', allow=policy.UPLOAD, late=True, status=204)
def upload(req: Request, id: str) -> None:
    """Give an image its data."""
    stream = _octets(req)
    image = policy.loaded(req, id)
    store = req.header('X-Image-Meta-Store')
    if store and store not in req.wiring.stores:
        raise errors.Invalid('X-Image-Meta-Store: there is no store {store}.', store=repr(store[:80]))
    uploads.upload(req.wiring, req.context, image, stream, size=_announced(req), store=store or None)


@app.put('/images/{id}/stage', allow=policy.UPLOAD, late=True, status=204)
def stage(req: Request, id: str) -> None:
    """Leave data to be imported."""
    stream = _octets(req)
    image = policy.loaded(req, id)
    uploads.stage(req.wiring, req.context, image, stream, size=_announced(req))


@app.get('/images/{id}/file', allow=policy.DOWNLOAD, late=True)
def download(req: Request, id: str) -> Response:
    """Have the data of an image, or a range of it; 204 if there is none yet."""
    image = policy.loaded(req, id)
    if image.status == 'deactivated' and not req.context.is_admin:
        raise errors.Forbidden('The requested image has been deactivated. Image data download is forbidden.')
    if image.blob is None:
        return Response(204)
    total = image.blob['size']
    wanted = _wanted(req, total)
    first, last = wanted or (0, total - 1)
    headers = {'Accept-Ranges': 'bytes'}
    if wanted is not None:
        headers['Content-Range'] = f'bytes {first}-{last}/{total}'
    elif image.checksum:
        headers['Content-MD5'] = image.checksum
    length = last - first + 1
    body = b'' if req.method == 'HEAD' else uploads.download(req.wiring, image, first, length)
    return _streamed(206 if wanted else 200, body, headers, length)


def _streamed(status: int, body: Any, headers: dict[str, str], length: int) -> Response:
    if isinstance(body, bytes):      # HEAD: the length is said all the same
        body = iter(())
    return Response(status, body, headers, content_type='application/octet-stream', length=length)


def _wanted(req: Request, total: int) -> tuple[int, int] | None:
    """First and last byte of the single range asked for; ``errors.RangeNotSatisfiable`` for any other."""
    for header, parse in (('Range', _of_range), ('Content-Range', _of_content_range)):
        value = req.header(header)
        if value:
            wanted = parse(value, total)
            if wanted is None or not 0 <= wanted[0] <= wanted[1] or wanted[0] >= total:
                raise errors.RangeNotSatisfiable(
                    'Invalid range, or several of them: {value}.', value=repr(value[:80]),
                    headers={'Content-Range': f'bytes */{total}'})
            return wanted[0], min(wanted[1], total - 1)
    return None


def _of_range(value: str, total: int) -> tuple[int, int] | None:
    match = _RANGE.match(value)
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:      # the last so many bytes
        return max(0, total - int(match[2])), total - 1
    return int(match[1]), int(match[2]) if match[2] else total - 1


def _of_content_range(value: str, total: int) -> tuple[int, int] | None:
    match = _CONTENT_RANGE.match(value)
    return (int(match[1]), int(match[2])) if match else None


