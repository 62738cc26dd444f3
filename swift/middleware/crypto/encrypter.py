"""The half that encrypts: bodies and entity tags on PUT, user metadata on PUT and POST; it keeps conditions true."""

import hashlib
import os
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from swift import constraints
from swift.http import path as paths
from swift.http.application import serving
from swift.http.etags import update_is_at
from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.middleware.crypto import ciphers
from swift.middleware.crypto.ciphers import CryptoError, Keys

OVERRIDDEN = 'swift.crypto.override'
_META = 'HTTP_X_OBJECT_META_'
_NO_BODY = hashlib.md5(b'', usedforsecurity=False).hexdigest()


class Encrypter:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._idle = conf.disable_encryption
        self._constraints = constraints.load(conf.swift_dir)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ['REQUEST_METHOD']
        if method in ('PUT', 'POST'):
            if self._idle or environ.get(OVERRIDDEN):
                return self.app(environ, start_response)
        elif method not in ('GET', 'HEAD') or not ('HTTP_IF_MATCH' in environ or 'HTTP_IF_NONE_MATCH' in environ):
            return self.app(environ, start_response)
        if not is_object(environ['PATH_INFO']):
            return self.app(environ, start_response)
        return self._serve(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        if request.method in ('GET', 'HEAD'):
            if not request.environ.get(OVERRIDDEN):
                self._mask_conditions(request)
            return self.app
        keys = fetch(request.environ)
        # behind this filter they are no user metadata any more
        self._constraints.check_metadata(request, 'Object')
        plain = encrypt_metadata(request.environ, keys)
        try:
            return self._put(request, keys) if request.method == 'PUT' else request.respond(self.app)
        finally:
            request.environ.update(plain)       # who is further out may want to tell of them

    def _put(self, request: Request, keys: Keys) -> Response:
        body = _Body(request, keys)
        request.environ['wsgi.input'] = body
        request.environ['swift.callback.update_footers'] = body.footers
        answer = request.respond(self.app)
        if answer.is_success and answer.etag == body.stored:
            answer.headers['Etag'] = body.etag
        return answer

    def _mask_conditions(self, request: Request) -> None:
        """Add to each entity tag of a condition what is stored in its place."""
        keys = fetch(request.environ)
        masked = False
        for header in ('If-Match', 'If-None-Match'):
            value = request.headers.get(header)
            if value is None or value.strip() in ('', '*'):
                continue
            tags = [each.strip() for each in value.split(',') if each.strip()]
            plain = [tag.removeprefix('W/').strip('"') for tag in tags if tag != '*']
            for key_id in keys['all_ids']:
                key = fetch(request.environ, key_id)['object']
                tags += [f'"{ciphers.mac(key, tag)}"' for tag in plain]
            request.headers[header] = ', '.join(tags)
            masked = True
        if masked:
            update_is_at(request, ciphers.ETAG_MAC)


def is_object(path: str) -> bool:
    """Whether it is the path of an object."""
    try:
        return bool(paths.split(path, 4, 4, True))
    except ValueError:
        return False


def fetch(environ: dict[str, Any], key_id: Any = None) -> Keys:
    """Keys of the path; raises ``HttpError`` 500 if there are none."""
    callback = environ.get(ciphers.FETCH)
    try:
        if callback is None:
            raise CryptoError('there is no keymaster in the pipeline')
        return callback(key_id) if key_id is not None else callback()
    except CryptoError as error:
        raise HttpError(500, 'Unable to retrieve encryption keys.') from error


def encrypt_metadata(environ: dict[str, Any], keys: Keys) -> dict[str, str]:
    """Replace user metadata by encrypted ones, and return them; an empty value, which removes one, stays as it is."""
    plain = {}
    for name in [name for name in environ if name.startswith(_META)]:
        value = environ[name]
        if not value:
            continue
        made = 'HTTP_' + ciphers.USER_META_PREFIX.upper().replace('-', '_') + name[len(_META):]
        environ[made] = ciphers.encrypt(value, keys['object'])
        plain[name] = environ.pop(name)
    if plain:
        environ['HTTP_' + ciphers.USER_META.upper().replace('-', '_')] = ciphers.dump(
            {'cipher': ciphers.NAME, 'key_id': keys['id']})
    return plain


class _Body:
    """``wsgi.input`` of a PUT: reads of the client, encrypts, and knows both entity tags at the end."""

    def __init__(self, request: Request, keys: Keys) -> None:
        self._input = request.input
        self._keys = keys
        self._more = request.environ.get('swift.callback.update_footers')
        # of the plain body: storage servers must not compare it with theirs, nor list it
        self._wanted = _taken(request, 'Etag').strip('"')
        self._override = _taken(request, ciphers.OVERRIDE)
        self._plain = hashlib.md5(usedforsecurity=False)
        self._cipher = hashlib.md5(usedforsecurity=False)
        self._encrypt: Callable[[bytes], bytes] | None = None
        self._meta: ciphers.Meta = {}

    @property
    def etag(self) -> str:
        """Of what the client sent."""
        return self._plain.hexdigest()

    @property
    def stored(self) -> str:
        """Of what is on disk."""
        return self._cipher.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """Encrypted bytes."""
        data = self._input.read(size)
        if not data:
            return b''
        if self._encrypt is None:
            key = os.urandom(ciphers.KEY)
            self._meta = ciphers.new_meta(body_key=ciphers.wrap(key, self._keys['object']), key_id=self._keys['id'])
            self._encrypt = ciphers.stream(key, self._meta['iv'])
        self._plain.update(data)
        data = self._encrypt(data)
        self._cipher.update(data)
        return data

    def readline(self, size: int = -1) -> bytes:
        """Some bytes: nothing that looks at lines is behind this filter."""
        return self.read(size if size >= 0 else 65536)

    def footers(self, footers: MutableMapping[str, str]) -> None:
        """``swift.callback.update_footers``: called when the body has been read to its end."""
        if self._more is not None:
            self._more(footers)
        wanted = (_popped(footers, 'Etag') or self._wanted).strip('"')
        if wanted and wanted != self.etag:
            raise HttpError(422)
        override = _popped(footers, ciphers.OVERRIDE) or self._override
        footers['Etag'] = self.stored
        keys = self._keys
        if self._encrypt is not None:
            footers[ciphers.ETAG] = ciphers.encrypt(self.etag, keys['object'])
            footers[ciphers.BODY_META] = ciphers.dump(self._meta)
            footers[ciphers.ETAG_MAC] = ciphers.mac(keys['object'], self.etag)
            override = override or self.etag
        if override and override != _NO_BODY:
            override = ciphers.encrypt(override, keys['container'], key_id=keys['id'])
        if override:
            footers[ciphers.OVERRIDE] = override


def _taken(request: Request, name: str) -> str:
    value: str = request.headers.get(name) or ''
    request.headers[name] = None
    return value


def _popped(footers: MutableMapping[str, str], name: str) -> str | None:
    found = None
    for each in [each for each in footers if each.lower() == name.lower()]:
        found = footers.pop(each)
    return found
