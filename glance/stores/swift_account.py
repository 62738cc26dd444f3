"""An account of an object store, and who we are there: what the swift store's options lead to.

Nothing here tells a client of glance where the store is or how one gets in:
messages name "the image store" and no more.
"""

import configparser
import hashlib
import logging
import urllib.parse
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from oslo_config import cfg

from glance.stores.interface import Full
from strata import errors, green, http
from strata.identity import Identity

LOG = logging.getLogger(__name__)

NAME = 'The image store'
#: options of a reference, by their names in the file and with ``swift_store_`` before them
_AUTH = ('auth_address', 'auth_version', 'user', 'key')
#: of a reference only
_DOMAINS = ('user_domain_id', 'user_domain_name', 'project_domain_id', 'project_domain_name')
_INTERFACES = {'publicURL': 'public', 'internalURL': 'internal', 'adminURL': 'admin'}


class Account:
    """Requests to one account, under our own name."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Raises ``errors.Invalid`` for options that do not go together."""
        options = conf.glance_store
        verify = not options.swift_store_auth_insecure and (options.swift_store_cacert or True)
        self._client = http.Client(service=NAME, verify=verify, pool=50)
        keystone = http.Client(service='Keystone', verify=verify)
        self._identity = Identity(_credentials(conf), client=keystone)
        self._endpoint = (options.swift_store_endpoint or '').rstrip('/')
        self._type = options.swift_store_service_type
        self._interface = _INTERFACES[options.swift_store_endpoint_type]

    def _url(self, container: str, name: str) -> str:
        base = self._endpoint or self._identity.endpoint(self._type, self._interface)
        return '/'.join([base, *(urllib.parse.quote(each, safe='') for each in (container, name) if each)])

    def ask(self, method: str, container: str, name: str = '', *, data: bytes | None = None,
            params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
            stream: bool = False) -> http.Response:
        """One request, whose answer is 2xx, 404 or 416; anything else is raised.

        Raises ``errors.Unavailable``, ``Full``.  With ``stream`` the caller closes the answer.
        """
        for last in (False, True):
            token = self._identity.token()
            answer = self._client.request(method, self._url(container, name), token=token, data=data, params=params,
                                          headers={'Accept-Encoding': 'identity', **(headers or {})}, stream=stream)
            if answer.status_code != 401 or last:
                break
            answer.close()
            self._identity.forget(token)
        if answer.status_code not in (404, 416):
            _succeeded(answer, method)
        return answer

    def upload(self, container: str, name: str, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Store an object from a stream; (its MD5, its bytes).

        Raises ``errors.Unavailable``, ``Full``, and what ``chunks`` raises.
        """
        body = _Body(chunks)
        try:
            # a body that was sent cannot be sent again: no second try, whatever the answer
            answer = self._client.request('PUT', self._url(container, name), token=self._identity.token(), data=body)
        except Exception:
            if body.error is not None:
                raise body.error from None
            raise
        if body.error is not None:
            raise body.error
        _succeeded(answer, 'PUT')
        if answer.headers.get('Etag', '').strip('"') != body.md5.hexdigest():
            LOG.error('the object store stored something else than was sent as %s', name)
            raise errors.Unavailable(service=NAME)
        return body.md5.hexdigest(), body.size


class _Body:
    """A stream on its way: hashed, counted, and its failure kept apart from the connection's."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self.error: BaseException | None = None

    def __iter__(self) -> '_Body':
        return self

    def __next__(self) -> bytes:
        try:
            # an empty piece would end a chunked body
            chunk = next(chunk for chunk in self._chunks if chunk)
            green.native(self.md5.update, chunk)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise
        self.size += len(chunk)
        return chunk


def _succeeded(answer: http.Response, method: str) -> None:
    if 200 <= answer.status_code < 300:
        return
    answer.close()
    LOG.error('the object store answers %s to a %s of glance (transaction %s)', answer.status_code, method,
              answer.headers.get('X-Trans-Id'))
    if answer.status_code in (413, 507):
        raise Full()
    raise errors.Unavailable(service=NAME)


def _credentials(conf: cfg.ConfigOpts) -> Any:
    """As ``Identity`` wants them: of the reference, of the options, or glance's own."""
    options = conf.glance_store
    if options.swift_store_config_file:
        given = _reference(conf, options.swift_store_config_file, options.default_swift_reference)
        where = f'[{options.default_swift_reference}] of swift_store_config_file'
    elif options.swift_store_auth_address:
        given = {name: getattr(options, f'swift_store_{name}') for name in _AUTH}
        where = '[glance_store] swift_store_*'
    else:
        own = conf.keystone_authtoken
        return SimpleNamespace(**{**dict(own.items()), 'region_name': options.swift_store_region or own.region_name})
    if (given.get('auth_version') or '3').strip() not in ('3', 'v3'):
        raise errors.Invalid(f'{where}: auth_version can only be 3.')
    project, colon, user = (given.get('user') or '').partition(':')
    if not colon or not given.get('key') or not given.get('auth_address'):
        raise errors.Invalid(f'{where}: auth_address, user (project:user) and key are needed.')
    domains = {name: given.get(name) for name in _DOMAINS}
    for kind in ('user', 'project'):
        if not domains[f'{kind}_domain_name']:
            domains[f'{kind}_domain_id'] = domains[f'{kind}_domain_id'] or 'default'
    return SimpleNamespace(auth_url=given['auth_address'], username=user, password=given['key'], project_name=project,
                           region_name=options.swift_store_region, **domains)


def _reference(conf: cfg.ConfigOpts, path: str, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        with open(conf.find_file(path) or path, encoding='utf-8') as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        # the text of a parser's error may show a line with a key
        raise errors.Invalid(f'[glance_store] swift_store_config_file: {path} cannot be read '
                             f'({type(error).__name__}).') from None
    if not parser.has_section(name):
        raise errors.Invalid(f'[glance_store] default_swift_reference: {path} has no section [{name}].')
    return {option: value.strip().strip('\'"') for option, value in parser.items(name)}
