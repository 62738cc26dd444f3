"""The object server: objects of one host over HTTP, for proxies and for daemons.

    /device/partition/account/container/object     GET HEAD PUT POST DELETE
    /device/partition[/suffix-suffix...]           REPLICATE
    /device/partition[/hash/file]                  SSYNC
    *                                              OPTIONS

Times come with the request (X-Timestamp): what is newer wins, whatever comes first.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from strata import errors
from strata.backend import Pool
from swift import conf as confs
from swift import constraints as limits
from swift import statsd
from swift.conf import Option
from swift.http.headers import title
from swift.http.request import Request
from swift.http.response import HttpError, Response, render
from swift.obj import download, post, put, receiver, remove, replicate, store
from swift.obj.errors import MetadataTooLarge
from swift.obj.updates import Updates
from swift.policies import Policy
from swift.storage.errors import Locked, NoSpace, NotMounted

LOG = logging.getLogger(__name__)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")

OPTIONS = {
    **store.OPTIONS,
    'conn_timeout': Option(confs.number, 0.5, 'seconds to reach a container server'),
    'node_timeout': Option(confs.number, 3.0, 'seconds to wait for its answer'),
    'container_update_timeout': Option(confs.number, 1.0, 'seconds that a client waits for such updates'),
    'keep_cache_private': Option(confs.boolean, False, "whether objects read with a token stay in the kernel's cache"),
    'keep_cache_slo_manifest': Option(confs.boolean, False, 'as it says'),
    'allowed_headers': Option(confs.commas, ['Content-Disposition', 'Content-Encoding', 'X-Delete-At',
                                             'X-Object-Manifest', 'X-Static-Large-Object', 'Cache-Control',
                                             'Content-Language', 'Expires', 'X-Robots-Tag'],
                              'headers that are kept with an object'),
    'network_chunk_size': Option(confs.positive, 65536, 'bytes that are read from a client at a time'),
    'replication_server': Option(confs.boolean, None, 'only replication, or all but that; default: all'),
    'auto_create_account_prefix': Option(confs.text, '.', "of accounts that are the cluster's own"),
    'expiring_objects_account_name': Option(confs.text, 'expiring_objects', "the queue's account, without prefix"),
    'expiring_objects_container_divisor': Option(confs.positive, 86400, 'seconds of one container of the queue'),
}

#: those that other servers ask for
REPLICATION = frozenset({'REPLICATE', 'SSYNC'})


class Names:
    """What the path of a request says."""

    __slots__ = ('device', 'partition', 'account', 'container', 'obj', 'policy')

    def __init__(self, device: str, partition: str, account: str, container: str, obj: str,
                 policy: Policy) -> None:
        self.device = device
        self.partition = partition
        self.account = account
        self.container = container
        self.obj = obj
        self.policy = policy

    @property
    def triple(self) -> tuple[str, str, str]:
        """Account, container and object."""
        return self.account, self.container, self.obj


class ObjectServer:
    """The WSGI application."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        """``conf``: the section over ``[DEFAULT]``; raises ``errors.Invalid`` or ``RingError``."""
        self.conf = confs.options(conf, OPTIONS, 'object-server')
        self.store = store.Store.load(conf, 'object-server')
        self.constraints = limits.load(self.conf.swift_dir)
        self.pool = Pool(connect_timeout=self.conf.conn_timeout)
        self.updates = Updates(self.conf, self.store, self.pool)
        self.allowed = frozenset(name.lower() for name in self.conf.allowed_headers) - {'x-timestamp', 'etag'}
        #: what ``kept`` said of keys of environs
        self.known: dict[str, tuple[str, bool]] = {}
        self._shown: dict[str, str] = {}
        verbs: dict[str, Callable[[Any, Request], Response]] = {
            'GET': download.get, 'HEAD': download.head, 'PUT': put.put, 'POST': post.post,
            'DELETE': remove.delete, 'REPLICATE': replicate.replicate, 'SSYNC': receiver.ssync,
            'OPTIONS': options}
        only = self.conf.replication_server
        self.verbs = {name: verb for name, verb in verbs.items()
                      if only is None or name == 'OPTIONS' or (name in REPLICATION) == only}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self.answer(environ)(environ, start_response)

    def answer(self, environ: dict[str, Any]) -> Response:
        """The answer to a request, whatever happens."""
        verb = self.verbs.get(environ['REQUEST_METHOD'])
        try:
            if verb is None:
                raise HttpError(405)
            return verb(self, Request(environ))
        except HttpError as error:
            return error.response()
        except (NotMounted, NoSpace) as error:
            LOG.warning('%s %s: %s', environ['REQUEST_METHOD'], environ['PATH_INFO'], error)
            return _insufficient(str(error.details.get('device', '')))
        except MetadataTooLarge as error:
            return HttpError(400, str(error)).response()
        except Locked as error:
            LOG.warning('%s', error)
            return HttpError(503).response()
        except errors.Conflict as error:
            LOG.error('%s', error)
            return HttpError(409).response()
        except OSError as error:
            if getattr(error, 'status', None):      # of the client's connection; the server closes it
                raise
            LOG.exception('%s %s failed', environ['REQUEST_METHOD'], environ['PATH_INFO'])
            # the disk may be dying: proxies leave a device alone that answers 507
            return HttpError(507).response()
        except Exception:
            LOG.exception('%s %s failed', environ['REQUEST_METHOD'], environ['PATH_INFO'])
            return HttpError(500).response()

    def names(self, request: Request) -> Names:
        """The path's names; raises ``HttpError`` 400, 412, or 503 for an unknown policy."""
        path = request.environ['PATH_INFO']
        if not path.isascii():
            try:
                path = path.encode('latin-1').decode('utf-8')
            except UnicodeDecodeError:
                raise HttpError(412, 'Invalid UTF8 or contains NULL') from None
        pieces = path.split('/', 5)
        if len(pieces) != 6 or pieces[0] or not all(pieces[1:]):
            raise HttpError(400, f'Invalid path: {path}')
        _, device, partition, account, container, obj = pieces
        if limits.RESERVED in path:
            limits.check_reserved(account, container, obj)
        check_place(device, partition)
        return Names(device, partition, account, container, obj, self.policy(request))

    def policy(self, request: Request) -> Policy:
        """The storage policy that a request names; raises ``HttpError`` 503 for one that is not here."""
        index = request.environ.get('HTTP_X_BACKEND_STORAGE_POLICY_INDEX')
        policy = self.store.policies.get(index)
        if policy is None:
            raise HttpError(503, f'No policy with index {index}')
        return policy

    def kept(self, key: str) -> tuple[str, bool]:
        """The name by which an environ key's value is kept with an object, empty if it is not;
        and whether it is kept even if it is empty.
        """
        name = title(key[5:].replace('_', '-')) if key.startswith('HTTP_') else ''
        own = self.keeps(name.lower())
        found = (name if own or name.lower() in self.allowed else '', own)
        if len(self.known) < 1000:
            self.known[key] = found
        return found

    def shown(self, name: str) -> bool:
        """Whether a piece of metadata is a header that clients or proxies see."""
        known = self._shown.get(name)
        if known is None:
            lower = name.lower()
            # other servers may have kept names that HTTP does not allow
            known = name if (self.keeps(lower) or lower in self.allowed) and _TOKEN.match(name) else ''
            if len(self._shown) < 1000:
                self._shown[name] = known
        return bool(known)

    @staticmethod
    def keeps(lower: str) -> bool:
        """Whether a header is an object's own metadata: the user's, or a filter's."""
        return lower.startswith(('x-object-meta-', 'x-object-sysmeta-', 'x-object-transient-sysmeta-')) \
            and not lower.endswith('-meta-')

    def close(self) -> None:
        """Give connections back."""
        self.pool.close()


def check_place(device: str, partition: str) -> None:
    """Raises ``HttpError`` 400 for what is no device or partition."""
    if device in ('.', '..'):
        raise HttpError(400, f'Invalid device: {device}')
    if not (partition.isascii() and partition.isdecimal() and len(partition) <= 10):
        raise HttpError(400, f'Invalid partition: {partition}')


def _insufficient(device: str) -> Response:
    text = render(507)
    if device:
        text = text.replace(b'</p>', f' Drive: {device}</p>'.encode('ascii', 'replace'))
    return Response(507, text, {'Content-Type': 'text/html; charset=UTF-8'})


def options(server: ObjectServer, request: Request) -> Response:
    """Which methods there are."""
    return Response(200, b'', {'Allow': ', '.join(sorted(server.verbs)),
                               'Server': f'object-server/{VERSION}'})


#: the release whose protocol this speaks
VERSION = '2.38.3'


def app_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Any:
    """For paste: ``[app:object-server] use = egg:swift#object``."""
    given = {**global_conf, **local_conf}
    return statsd.timed(ObjectServer(given), given, 'object-server')
