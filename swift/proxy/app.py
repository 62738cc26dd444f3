"""The proxy application: finds the resource, asks for leave, and hands over to the resource's file.

    [app:proxy-server]
    use = egg:swift#proxy
    account_autocreate = true

``[proxy-server:policy:N]`` of the same file has options for one storage policy.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from strata import backend, errors
from swift import conf as confs
from swift import constraints
from swift.http import info, path
from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.policies import Policies, Policy
from swift.proxy import account, capabilities, container, cors, obj
from swift.proxy.call import TEXT, Call
from swift.proxy.conf import OPTIONS, POLICY_OPTIONS
from swift.proxy.nodes import ErrorLimits, Sorter
from swift.ring.errors import FileError
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring

LOG = logging.getLogger(__name__)

#: names that only filters may use, with this header
RESERVED = '\x00'


class Proxy:
    """The application; ``pool``, ``errors`` and rings are shared by all requests of the process."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        """Raises ``errors.Invalid`` for a wrong option, a missing swift.conf or ring."""
        self.conf = confs.options(conf, OPTIONS, '[app:proxy-server]')
        self.conf.enable_open_expired |= self.conf.allow_open_expired
        swift_dir = self.conf.swift_dir
        self.constraints = constraints.load(swift_dir)
        self.policies = Policies.load(swift_dir)
        self.hashing = HashPath.load(f'{swift_dir}/swift.conf')
        self.account_ring = Ring(swift_dir, self.hashing, name='account')
        self.container_ring = Ring(swift_dir, self.hashing, name='container')
        self._object_rings: dict[int, Ring] = {}
        self.pool = backend.Pool(per_host=self.conf.max_idle_connections, connect_timeout=self.conf.conn_timeout)
        self.errors = ErrorLimits(self.conf.error_suppression_limit, self.conf.error_suppression_interval)
        self.sorter = Sorter(self.conf, self.conf.timing_expiry)
        self.sorters = {policy.index: self._sorter(conf, policy) for policy in self.policies}
        self.timeout = self.conf.node_timeout if self.conf.recoverable_node_timeout is None \
            else self.conf.recoverable_node_timeout
        self.owner_headers = [name.strip() for name in self.conf.swift_owner_headers]
        self.denied_hosts = frozenset(self.conf.deny_host_headers)
        self.versions = frozenset(self.constraints.valid_api_versions)
        self.log = LOG
        self.quote = path.quote
        self._register()

    def _sorter(self, conf: Mapping[str, Any], policy: Policy) -> Sorter:
        """With the policy's own options over those of the application."""
        own = {}
        if conf.get('conf_file'):
            parser = confs.parse(str(conf['conf_file']))
            section = f'proxy-server:policy:{policy.index}'
            if parser.has_section(section):
                own = {name: value for name, value in parser.items(section) if name not in parser.defaults()}
        options = confs.options({**conf, **own}, POLICY_OPTIONS, f'[proxy-server:policy:{policy.index}]')
        return Sorter(options if own else SimpleNamespace(**{
            name: getattr(self.conf, name) for name in POLICY_OPTIONS}), self.conf.timing_expiry)

    def _register(self) -> None:
        info.register('swift', version=VERSION, strict_cors_mode=self.conf.strict_cors_mode,
                      policies=self.policies.info(), allow_account_management=self.conf.allow_account_management,
                      account_autocreate=self.conf.account_autocreate,
                      allow_open_expired=self.conf.enable_open_expired,
                      max_header_size=self.constraints.max_header_size, **{
                          name: value for name, value in self.constraints.info().items()
                          if name not in ('max_header_size', 'auto_create_account_prefix')})

    def object_ring(self, policy: Policy) -> Ring:
        """The ring of a policy, read when it is first needed; raises ``HttpError`` 503 if it is not there."""
        ring = self._object_rings.get(policy.index)
        if ring is None:
            try:
                ring = Ring(self.conf.swift_dir, self.hashing, name=policy.ring_name)
            except FileError as error:
                LOG.error('%s', error)
                raise HttpError(503) from error
            self._object_rings[policy.index] = ring
        return ring

    def concurrency_timeout(self, sorter: Sorter) -> float:
        """Seconds after which another node is asked, too."""
        value: float | None = sorter.options.concurrency_timeout
        return self.conf.conn_timeout if value is None else value

    def wants_newest(self, req: Request) -> bool:
        """Whether the client asks for the latest of all replicas."""
        return 'HTTP_X_NEWEST' in req.environ and confs.true(req.environ['HTTP_X_NEWEST'])

    def json_query(self, req: Request) -> str:
        """The query for a listing's servers; raises ``HttpError`` 412 if it is no UTF-8."""
        if not req.query_string:
            return 'format=json'
        req.params      # noqa: B018 (a check)
        given = parse_qsl(req.query_string, keep_blank_values=True, encoding='latin-1')
        return urlencode([(name, value) for name, value in given if name != 'format'] + [('format', 'json')],
                         encoding='latin-1')

    def close(self) -> None:
        """Close idle connections."""
        self.pool.close()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer = self.answer(Request(environ))
        except HttpError as error:
            answer = error.response()
        except backend.Failed as error:
            LOG.error('%s %s: %s', environ['REQUEST_METHOD'], environ['PATH_INFO'], error)
            answer = HttpError(503).response()
        return answer(environ, start_response)

    def answer(self, req: Request) -> Any:
        """The answer to a request: a ``Response``, or the refusal of an authorisation filter, which is one too."""
        environ = req.environ
        if 'swift.trans_id' in environ:
            environ.setdefault('HTTP_X_TRANS_ID', environ['swift.trans_id'])
        if self.denied_hosts and req.host.partition(':')[0] in self.denied_hosts:
            raise HttpError(403)
        if req.path == '/info':
            return capabilities.answer(self, req)
        module, names = self._resource(req)
        call = Call(self, req, names[0], names[1], names[2], module.METHODS)
        handler: Callable[[Call], Response] | None = module.METHODS.get(req.method)
        if handler is None and req.method == 'OPTIONS':
            handler = cors.options
        if handler is None:
            raise HttpError(405, headers={'Allow': ', '.join(sorted({*module.METHODS, 'OPTIONS'}))})
        if req.method != 'OPTIONS' and 'swift.authorize' in environ:
            refused = environ['swift.authorize'](req)
            if refused is None:
                if not environ.get('swift.authorize_override'):
                    del environ['swift.authorize']      # no need to ask again, whatever the ACL
            elif req.method not in module.DELAYED:
                return refused
        return handler(call)

    def _resource(self, req: Request) -> tuple[Any, list[Any]]:
        """The file that answers, and the names in the path; raises ``HttpError`` 400, 404 or 412."""
        req.content_length      # noqa: B018 (malformed: 400, whatever the path)
        try:
            version, *names = req.split(1, 4, True)
        except ValueError:
            raise HttpError(404) from None
        reserved = confs.true(req.environ.get('HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'))
        for name in names:
            if name and not reserved and RESERVED in name:
                raise HttpError(412, 'Invalid UTF8 or contains NULL', TEXT)
        if not names[0]:
            raise HttpError(412, 'Bad URL', TEXT)
        if version not in self.versions:
            raise HttpError(400)
        if names[2]:
            return obj, names
        return (container if names[1] else account), names


VERSION = '2.38.0'


def app_factory(global_conf: Mapping[str, str], **local_conf: str) -> Proxy:
    """For paste."""
    try:
        return Proxy({**global_conf, **local_conf})
    except FileError as error:
        raise errors.Invalid(str(error)) from error
