"""What is known of accounts, containers and objects, asked once and cached for all filters of the pipeline.

``swift.infocache`` of the environ holds it for one request, ``swift.cache``
(memcached, or the process's own) for ``recheck_*_existence`` seconds; what is
missing for a tenth of that.  The proxy itself fills both whenever a HEAD or
GET passes by.  The dictionaries are shared: nobody changes them.
"""

from collections.abc import Mapping
from typing import Any

from swift.http.headers import Headers
from swift.http.path import split, text_to_wsgi, wsgi_to_text
from swift.http.response import Response
from swift.http.subrequest import make_pre_authed_env

Info = dict[str, Any]
Environ = dict[str, Any]

#: whose absence of late is not believed for as long
MISSING = 0.1


def cache_key(account: str, container: str | None = None) -> str:
    """In ``swift.infocache`` and ``swift.cache``."""
    return f'container/{account}/{container}' if container else f'account/{account}'


def get_account_info(environ: Environ, app: Any, swift_source: str | None = None) -> Info:
    """The facts of the account in the request's path; ``status`` is 0 if it has none.

    ``app``: what answers a HEAD, a filter's next.
    """
    names = _names(environ, 1)
    if names is None:
        return account_info({}, 0)
    key = cache_key(names[0])
    info = _cached(environ, key)
    if info is None:
        info = _asked(environ, app, names[:1], key, swift_source or 'GET_ACCOUNT_INFO', account_info)
    return info


def get_container_info(environ: Environ, app: Any, swift_source: str | None = None) -> Info:
    """The facts of the container in the request's path; its ACLs, policy and CORS rules among them."""
    names = _names(environ, 2)
    if names is None:
        return container_info({}, 0)
    key = cache_key(names[0], names[1])
    info = _cached(environ, key)
    if info is None:
        if not names[0].startswith('.'):
            account = get_account_info(environ, app, swift_source)
            if not 200 <= account['status'] < 300:
                return container_info({}, 0 if account['status'] in (0, 404, 410) else account['status'])
        info = _asked(environ, app, names[:2], key, swift_source or 'GET_CONTAINER_INFO', container_info)
    return info


def get_object_info(environ: Environ, app: Any, path: str | None = None, swift_source: str | None = None) -> Info:
    """The facts of the object in the request's path, or of ``path`` (a WSGI string); cached for this request."""
    path = path or environ['PATH_INFO']
    cache = environ.setdefault('swift.infocache', {})
    key = f'object{path}'
    info: Info | None = cache.get(key)
    if info is None:
        made = make_pre_authed_env(environ, method='HEAD', path=path, source=swift_source or 'GET_OBJECT_INFO')
        response = Response.of(app, made)
        response.close()
        info = cache[key] = object_info(response.headers, response.status)
    return info


def clear_info_cache(environ: Environ, account: str, container: str | None = None) -> None:
    """Forget what was known; whoever changes an account or a container says so."""
    key = cache_key(account, container)
    environ.get('swift.infocache', {}).pop(key, None)
    cache = environ.get('swift.cache')
    if cache is not None:
        cache.delete(key)


def set_info_cache(environ: Environ, account: str, container: str | None, info: Info, seconds: float) -> None:
    """Remember what a HEAD or GET has told; errors other than 404 and 410 are not kept."""
    key = cache_key(account, container)
    environ.setdefault('swift.infocache', {})[key] = info
    cache = environ.get('swift.cache')
    if cache is None:
        return
    if 200 <= info['status'] < 300:
        cache.set(key, info, time=seconds)
    elif info['status'] in (404, 410):
        cache.set(key, info, time=seconds * MISSING)
    else:
        cache.delete(key)


def _names(environ: Environ, least: int) -> list[Any] | None:
    """Account and container, as text."""
    try:
        path = wsgi_to_text(environ.get('SCRIPT_NAME', '') + environ['PATH_INFO'])
        _, *names = split(path, least + 1, 4, True)
    except ValueError:
        return None
    return names


def _cached(environ: Environ, key: str) -> Info | None:
    cache = environ.get('swift.infocache')
    info: Info | None = cache.get(key) if cache else None
    if info is None and environ.get('swift.cache') is not None:
        info = environ['swift.cache'].get(key)
        if info is not None:
            environ.setdefault('swift.infocache', {})[key] = info
    return info


def _asked(environ: Environ, app: Any, names: list[str], key: str, source: str, make: Any) -> Info:
    """Of a HEAD; the proxy that answers it may have put the facts into the cache already."""
    path = text_to_wsgi('/v1/' + '/'.join(names))
    made = make_pre_authed_env(environ, method='HEAD', path=path, source=source)
    made['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] = 'true'
    made.pop('HTTP_ORIGIN', None)      # to answer that, the container's facts would be asked for again
    cache = made.setdefault('swift.infocache', {})
    response = Response.of(app, made)
    response.close()
    info: Info = cache.get(key) or make(response.headers, response.status)
    return info


def _number(value: str | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        return 0


def _below(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Headers of a prefix, without it and in lower case."""
    length = len(prefix)
    return {name[length:].lower(): value for name, value in headers.items()
            if name[:length].lower() == prefix}


def account_info(headers: Mapping[str, str], status: int) -> Info:
    """The published facts of an account, of the headers of a HEAD."""
    headers = headers if isinstance(headers, Headers) else Headers(headers)
    policies: dict[str, dict[str, int]] = {}
    for name, value in _below(headers, 'x-account-storage-policy-').items():
        for end, fact in (('-container-count', 'container_count'), ('-object-count', 'object_count'),
                          ('-bytes-used', 'bytes')):
            if name.endswith(end):
                policies.setdefault(name.removesuffix(end), {})[fact] = _number(value)
    return {
        'status': status,
        'container_count': _number(headers.get('X-Account-Container-Count')),
        'total_object_count': _number(headers.get('X-Account-Object-Count')),
        'bytes': _number(headers.get('X-Account-Bytes-Used')),
        'storage_policies': policies,
        'meta': _below(headers, 'x-account-meta-'),
        'sysmeta': _below(headers, 'x-account-sysmeta-'),
        'account_really_exists': headers.get('X-Backend-Fake-Account-Listing') != 'yes',
    }


def container_info(headers: Mapping[str, str], status: int) -> Info:
    """The published facts of a container, of the headers of a HEAD."""
    headers = headers if isinstance(headers, Headers) else Headers(headers)
    meta = _below(headers, 'x-container-meta-')
    return {
        'status': status,
        'read_acl': headers.get('X-Container-Read'),
        'write_acl': headers.get('X-Container-Write'),
        'sync_to': headers.get('X-Container-Sync-To'),
        'sync_key': headers.get('X-Container-Sync-Key'),
        'object_count': _number(headers.get('X-Container-Object-Count')),
        'bytes': _number(headers.get('X-Container-Bytes-Used')),
        'versions': headers.get('X-Versions-Location'),
        'storage_policy': headers.get('X-Backend-Storage-Policy-Index', '0'),
        'put_timestamp': headers.get('X-Backend-Put-Timestamp') or headers.get('X-Put-Timestamp'),
        'delete_timestamp': headers.get('X-Backend-Delete-Timestamp'),
        'status_changed_at': headers.get('X-Backend-Status-Changed-At'),
        'sharding_state': headers.get('X-Backend-Sharding-State', 'unsharded'),
        'cors': {'allow_origin': meta.get('access-control-allow-origin'),
                 'expose_headers': meta.get('access-control-expose-headers'),
                 'max_age': meta.get('access-control-max-age')},
        'meta': meta,
        'sysmeta': _below(headers, 'x-container-sysmeta-'),
    }


def object_info(headers: Mapping[str, str], status: int) -> Info:
    """The published facts of an object, of the headers of a HEAD."""
    headers = headers if isinstance(headers, Headers) else Headers(headers)
    return {
        'status': status,
        'length': headers.get('Content-Length'),
        'type': headers.get('Content-Type'),
        'etag': headers.get('Etag'),
        'meta': _below(headers, 'x-object-meta-'),
        'sysmeta': _below(headers, 'x-object-sysmeta-'),
        'transient_sysmeta': _below(headers, 'x-object-transient-sysmeta-'),
    }
