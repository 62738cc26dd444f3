"""Requests that a filter makes on behalf of the one it serves.

They share the connection's facts and this request's cache, not its conditions
and not its body.  A *pre-authorised* one skips the authorisation of the user,
for what the filter answers for itself.
"""

from collections.abc import Mapping
from typing import Any

from swift.http import path as paths
from swift.http.request import Environ, Request

#: what of the first request its subrequests see
KEPT = (
    'HTTP_USER_AGENT', 'HTTP_HOST', 'PATH_INFO', 'REMOTE_USER', 'REMOTE_ADDR', 'REQUEST_METHOD', 'SCRIPT_NAME',
    'SERVER_NAME', 'SERVER_PORT', 'HTTP_ORIGIN', 'HTTP_ACCESS_CONTROL_REQUEST_METHOD', 'SERVER_PROTOCOL',
    'HTTP_X_AUTH_TOKEN', 'HTTP_X_SERVICE_TOKEN', 'HTTP_X_TRANS_ID', 'HTTP_REFERER',
    'HTTP_X_BACKEND_STORAGE_POLICY_INDEX', 'HTTP_X_OPENSTACK_REQUEST_ID',
    'wsgi.url_scheme', 'wsgi.version', 'wsgi.errors', 'wsgi.multithread', 'wsgi.multiprocess', 'wsgi.run_once',
    'strata.request_id', 'strata.context', 'reseller_request', 'swift_owner',
    'swift.account_tenant', 'swift.authorize', 'swift.authorize_override', 'swift.auth_scheme',
    'swift.cache', 'swift.infocache', 'swift.ratelimit.handled', 'swift.trans_id', 'swift.reseller_request',
    'swift.shard_listing', 'swift.leave_relative_location', 'swift.crypto.override', 'swift.s3api_override',
    'swift.callback.fetch_crypto_keys', 'keystone.identity',
)


def make_env(environ: Mapping[str, Any], *, method: str | None = None, path: str | None = None,
             agent: str | None = 'Swift', query: str | None = None, source: str | None = None) -> Environ:
    """An environ for a subrequest with an empty body.

    ``path``: a WSGI string, unquoted; ``agent`` may hold ``%(orig)s`` for the
    client's own, ``None`` keeps none; ``query``: default is none; ``source``: a
    short name for the log.
    """
    made = {key: environ[key] for key in KEPT if key in environ}
    if 'swift.infocache' not in made and isinstance(environ, dict):
        # shared with the first request, whoever looks first
        made['swift.infocache'] = environ.setdefault('swift.infocache', {})
    if method:
        made['REQUEST_METHOD'] = method
    if path is not None:
        made['PATH_INFO'] = path
        made['SCRIPT_NAME'] = ''
    made['QUERY_STRING'] = query or ''
    if source:
        made['swift.source'] = source
    if agent:
        made['HTTP_USER_AGENT'] = (agent % {'orig': environ.get('HTTP_USER_AGENT', '')}).strip()
    else:
        made.pop('HTTP_USER_AGENT', None)
    made['wsgi.input'] = _NOTHING
    made.setdefault('SCRIPT_NAME', '')
    return made


def make_subrequest(environ: Mapping[str, Any], *, method: str | None = None, path: str | None = None,
                    body: bytes | None = None, headers: Mapping[str, Any] | None = None,
                    agent: str | None = 'Swift', source: str | None = None) -> Request:
    """A subrequest with the rights of the first; ``path`` is quoted and may have a query."""
    before, _, query = path.partition('?') if path is not None else (None, '', '')
    made = make_env(environ, method=method, path=None if before is None else paths.wsgi_unquote(before),
                    agent=agent, query=query, source=source)
    return Request.blank('/', method=made['REQUEST_METHOD'], headers=headers, body=body,
                         environ=made) if body is not None else _with(Request(made), headers)


def make_pre_authed_env(environ: Mapping[str, Any], **options: Any) -> Environ:
    """As ``make_env``, but authorised already."""
    made = make_env(environ, **options)
    made['swift.authorize'] = allow
    made['swift.authorize_override'] = True
    return made


def make_pre_authed_subrequest(environ: Mapping[str, Any], **options: Any) -> Request:
    """As ``make_subrequest``, but authorised already."""
    request = make_subrequest(environ, **options)
    request.environ['swift.authorize'] = allow
    request.environ['swift.authorize_override'] = True
    return request


def allow(request: Any) -> None:
    """``swift.authorize`` of what needs no leave."""


def _with(request: Request, headers: Mapping[str, Any] | None) -> Request:
    for name, value in (headers or {}).items():
        request.headers[name] = value
    return request


class _Nothing:
    """A body without bytes."""

    def read(self, size: int = -1) -> bytes:
        return b''

    def readline(self, size: int = -1) -> bytes:
        return b''

    def __iter__(self) -> Any:
        return iter(())


_NOTHING = _Nothing()
