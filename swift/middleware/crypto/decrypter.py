"""The half that decrypts: objects on GET and HEAD, entity tags in listings of containers."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from swift.http import path as paths
from swift.http.application import serving
from swift.http.request import Request
from swift.http.response import HttpError, Response, Stream
from swift.middleware import multipart
from swift.middleware.crypto import ciphers
from swift.middleware.crypto.ciphers import CryptoError, Keys

LOG = logging.getLogger(__name__)

#: answers whose headers are about the object
ABOUT = frozenset({200, 204, 206, 304, 412, 416})
#: in place of an entity tag that cannot be decrypted
UNKNOWN = '<unknown>'
_RANGE = re.compile(r'bytes (\d+)-(\d+)/')
_BOUNDARY = re.compile(r'boundary="?([^";\s]+)"?')


class Decrypter:
    """The filter."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['REQUEST_METHOD'] not in ('GET', 'HEAD') or environ.get('swift.crypto.override'):
            return self.app(environ, start_response)
        return self._serve(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        try:
            _, _, container, name = paths.split(request.path_info, 2, 4, True)
        except ValueError:
            return self.app
        if not container or (not name and request.method == 'HEAD'):
            return self.app
        answer = request.respond(self.app)
        try:
            if name:
                _Object(request, answer).decrypt()
            elif answer.status == 200 and 'json' in answer.headers.get('Content-Type', ''):
                self._listing(request, answer)
        except CryptoError as error:
            answer.close()
            LOG.error('%s cannot be decrypted: %s', request.path_info, error)
            return HttpError(500, 'Error decrypting object').response()
        except BaseException:
            answer.close()
            raise
        return answer

    def _listing(self, request: Request, answer: Response) -> None:
        body = answer.body
        if b'swift_meta=' not in body:
            return
        entries = json.loads(body)
        for entry in entries:
            if isinstance(entry, dict) and ciphers.is_encrypted(entry.get('hash', '')):
                entry['hash'] = self._listed(request, entry)
        answer.body = json.dumps(entries).encode('ascii')

    def _listed(self, request: Request, entry: dict[str, Any]) -> str:
        try:
            _, meta, _ = ciphers.described(entry['hash'])
            return ciphers.decrypt(entry['hash'], fetch(request, meta)['container'])
        except CryptoError as error:
            LOG.error('%s: the entity tag of %r cannot be decrypted: %s', request.path_info, entry.get('name'), error)
            return UNKNOWN


def fetch(request: Request, meta: ciphers.Meta) -> Keys:
    """The keys that a description names; raises ``CryptoError``."""
    callback = request.environ.get(ciphers.FETCH)
    if callback is None:
        raise CryptoError('there is no keymaster in the pipeline')
    return callback(meta.get('key_id'))


class _Object:
    """An answer about an object."""

    def __init__(self, request: Request, answer: Response) -> None:
        self.request = request
        self.answer = answer
        self.headers = answer.headers

    def decrypt(self) -> None:
        """Headers and body, in place."""
        if self.answer.status not in ABOUT:
            self._clean()
            return
        body_meta = self.headers.get(ciphers.BODY_META)
        override = self.headers.get(ciphers.OVERRIDE)
        if override and ciphers.is_encrypted(override):
            _, meta, _ = ciphers.described(override)
            self.headers[ciphers.OVERRIDE] = ciphers.decrypt(override, fetch(self.request, meta)['container'])
        self._metadata()
        if body_meta:
            self._body(ciphers.load(body_meta))
        self._clean()

    def _metadata(self) -> None:
        described = self.headers.get(ciphers.USER_META)
        if not described:
            return
        key = fetch(self.request, ciphers.load(described))['object']
        start = len(ciphers.USER_META_PREFIX)
        for name, value in list(self.headers.items()):
            if name.startswith(ciphers.USER_META_PREFIX):
                self.headers['X-Object-Meta-' + name[start:]] = ciphers.decrypt(value, key)

    def _body(self, meta: ciphers.Meta) -> None:
        keys = fetch(self.request, meta)
        etag = self.headers.get(ciphers.ETAG)
        if etag:
            self.headers['Etag'] = ciphers.decrypt(etag, keys['object'])
        if self.answer.status not in (200, 206) or self.request.method == 'HEAD':
            return
        key, iv = ciphers.unwrap(meta, keys['object']), meta['iv']
        stream = self.answer.app_iter
        if self.answer.status == 200:
            update = ciphers.stream(key, iv)
        else:
            kind = self.headers.get('Content-Type', '')
            if kind.startswith('multipart/byteranges'):
                found = _BOUNDARY.search(kind)
                if not found:
                    raise CryptoError('parts without a boundary')
                self.answer.set_stream(Stream(_parts(stream, found[1].encode('latin-1'), key, iv), close_of(stream)))
                return
            update = ciphers.stream(key, iv, _start(self.headers.get('Content-Range', '')))
        self.answer.set_stream(Stream((update(piece) for piece in stream), close_of(stream)))

    def _clean(self) -> None:
        """What is known of the cipher is nobody's business further out."""
        for name in list(self.headers):
            if name.startswith((ciphers.USER_META, 'X-Object-Sysmeta-Crypto-')):
                del self.headers[name]
        exposed = self.headers.get('Access-Control-Expose-Headers')
        if exposed:
            kept = [re.sub('(?i)^x-object-transient-sysmeta-crypto-meta-', 'x-object-meta-', each.strip())
                    for each in exposed.split(',')]
            self.headers['Access-Control-Expose-Headers'] = ', '.join(
                each for each in kept if '-sysmeta-crypto' not in each.lower())


def close_of(stream: Any) -> Callable[[], Any] | None:
    """What gives a stream back."""
    return getattr(stream, 'close', None)


def _start(content_range: str) -> int:
    found = _RANGE.match(content_range)
    if not found:
        raise CryptoError('a range that is not told')
    return int(found[1])


class _Input:
    """A stream of pieces as something to read from."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def read(self, size: int) -> bytes:
        """The next piece, whatever its size."""
        for piece in self._pieces:
            if piece:
                return piece
        return b''


def _parts(stream: Iterable[bytes], mark: bytes, key: bytes, iv: bytes) -> Iterator[bytes]:
    """The parts of a multipart/byteranges body, each decrypted from its place on; what is between stays as it is."""
    body = multipart.Body(_Input(stream), mark)
    for part in body:
        yield part.raw
        update = ciphers.stream(key, iv, _start(part.headers.get('content-range', '')))
        while piece := part.read(multipart.CHUNK):
            yield update(piece)
    yield body.tail
