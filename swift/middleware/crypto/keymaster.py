"""Keys of containers and objects, derived from their paths and the operator's root secrets.

    [filter:keymaster]
    use = egg:swift#keymaster
    encryption_root_secret = (base64 of at least 32 bytes)
    encryption_root_secret_2026 = (another, named 2026)
    active_root_secret_id = 2026        what is written uses this one
    keymaster_config_path = (a file with these options under [keymaster], in place of all of them here)
    meta_version_to_write = 2

A key is the HMAC-SHA256 of a path by a secret; what was encrypted says which
path, which secret and which of the ways to write a path it was (``v``).
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from strata import errors
from swift import conf as confs
from swift.http import path as paths
from swift.middleware.crypto.ciphers import FETCH, KEY, CryptoError

METHODS = frozenset({'PUT', 'POST', 'GET', 'HEAD'})
#: how paths were written: 1 lost container and account before names with a leading slash, 3 is text, not WSGI strings
VERSIONS = ('1', '2', '3')
_OPTION = 'encryption_root_secret'

OPTIONS = {
    _OPTION: confs.Option(confs.text, '', 'base64 of at least 32 bytes; others: encryption_root_secret_NAME'),
    'active_root_secret_id': confs.Option(confs.text, None, 'name of the secret for what is written'),
    'keymaster_config_path': confs.Option(confs.text, '', 'file that has the secrets'),
    'meta_version_to_write': confs.Option(confs.choice(*VERSIONS), '2', 'how paths are written'),
}
#: what must not be set beside keymaster_config_path
_OWN = ('active_root_secret_id', 'meta_version_to_write')


class KeyMaster:
    """The filter: it leaves a callback in the environ, and others ask that."""

    def __init__(self, app: Any, secrets: Mapping[str | None, bytes], active: str | None, version: str = '2') -> None:
        self.app = app
        self.secrets = secrets
        self.active = active
        self.version = version

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['REQUEST_METHOD'] in METHODS:
            try:
                _, account, container, name = paths.split(environ['PATH_INFO'], 3, 4, True)
            except ValueError:
                pass
            else:
                assert account and container
                environ[FETCH] = _Keys(self, account, container, name)
        return self.app(environ, start_response)

    def key(self, path: bytes, secret_id: str | None) -> bytes:
        """Raises ``CryptoError`` if there is no such secret."""
        secret = self.secrets.get(secret_id)
        if secret is None:
            raise CryptoError(f'there is no root secret {secret_id!r}')
        return hmac.new(secret, path, 'sha256').digest()


class _Keys:
    """The keys of one path; names are WSGI strings."""

    def __init__(self, master: KeyMaster, account: str, container: str, name: str | None) -> None:
        self._master = master
        self._container = f'/{account}/{container}'
        self._name = name
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}

    def __call__(self, key_id: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """``container``, ``object``, ``id`` (to be kept with what they encrypt) and ``all_ids``.

        ``key_id``: of something encrypted earlier; default: for something new.
        Raises ``CryptoError``.
        """
        if key_id is None:
            key_id = self._id(self._master.active)
        try:
            known = tuple(key_id.get(part) for part in ('secret_id', 'v', 'path'))
            if known not in self._known:
                self._known[known] = self._derived(*known)
            return self._known[known]
        except (AttributeError, TypeError) as error:
            raise CryptoError('a key is not described as it should be') from error

    def _derived(self, secret_id: str | None, version: str | None, path: str | None) -> dict[str, Any]:
        if version is not None and version not in VERSIONS:
            raise CryptoError(f'keys of version {version!r} are not known')
        kept = self._id(secret_id, version or '1')
        path = kept['path'] if path is None else path
        written = _bytes(path, version)
        container = self._container.encode('latin-1')
        if not (written + b'/').startswith(container + b'/') and version in ('2', '3'):
            # it was encrypted elsewhere and moved here as it is
            container = b'/'.join(written.split(b'/', 3)[:3])
        keys = {'container': self._master.key(container, secret_id), 'id': kept,
                'all_ids': [self._id(each) for each in self._master.secrets]}
        if self._name:
            keys['object'] = self._master.key(written, secret_id)
        return keys

    def _id(self, secret_id: str | None, version: str | None = None) -> dict[str, str]:
        version = version or self._master.version
        path = self._container
        if self._name:
            path = self._name if version == '1' and self._name.startswith('/') else f'{path}/{self._name}'
        if version == '3':
            path = path.encode('latin-1').decode('utf-8', 'surrogateescape')
        made = {'path': path, 'v': version}
        if secret_id is not None:
            made['secret_id'] = secret_id
        return made


def _bytes(path: str, version: str | None) -> bytes:
    if version != '3':
        try:
            return path.encode('latin-1')
        except UnicodeEncodeError:      # version 1 under Python 2 wrote text
            pass
    return path.encode('utf-8', 'surrogateescape')


def load(conf: Mapping[str, str]) -> tuple[dict[str | None, bytes], str | None, str]:
    """(secrets by name, the active one's name, version) of a section; raises ``errors.Invalid``."""
    where = '[filter:keymaster]'
    path = conf.get('keymaster_config_path')
    if path:
        mixed = [name for name in conf if name.startswith(_OPTION) or name in _OWN]
        if mixed:
            raise errors.Invalid(f'{where}: {", ".join(sorted(mixed))} cannot be set beside keymaster_config_path')
        conf = confs.read(path, 'keymaster', required=True)
        where = f'{path}: [keymaster]'
    given = confs.options(conf, OPTIONS, where)
    secrets: dict[str | None, bytes] = {}
    for name, value in conf.items():
        if name == _OPTION:
            secrets[None] = _secret(value, f'{where}: {name}')
        elif name.startswith(_OPTION + '_') and len(name) > len(_OPTION) + 1:
            secrets[name[len(_OPTION) + 1:]] = _secret(value, f'{where}: {name}')
    if not secrets:
        raise errors.Invalid(f'{where}: {_OPTION} must be set')
    active = given.active_root_secret_id or None
    if active not in secrets:
        raise errors.Invalid(f'{where}: there is no {_OPTION}{"_" + active if active else ""}, which would be active')
    return secrets, active, given.meta_version_to_write


def _secret(value: str, where: str) -> bytes:
    """The bytes of a secret; never in a message."""
    try:
        secret = base64.b64decode(''.join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        secret = b''
    if len(secret) < KEY:
        raise errors.Invalid(f'{where} must be base64 of at least {KEY} bytes')
    return secret


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], KeyMaster]:
    """paste."""
    loaded = load({**global_conf, **local_conf})
    return lambda app: KeyMaster(app, *loaded)
