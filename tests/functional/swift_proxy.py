"""A cluster with a bare proxy for its tests, a client, and servers that misbehave on demand."""

import contextlib
import itertools

import requests

from strata.wsgi.limits import Limits
from strata.wsgi.server import Server
from swift import pipeline
from swift.proxy.app import Proxy
from tests.swift_cluster import Cluster

FILTERS = 'catch_errors gatekeeper cache listing_formats copy'
_NUMBERS = itertools.count()


def cluster(path, **options):
    given = {'filters': FILTERS, **options}
    return Cluster(path, **given)


def proxy_of(cluster):
    """The proxy behind the filters."""
    app = cluster.app
    while not isinstance(app, Proxy):
        app = app.app
    return app


class Client:
    """An account of its own, in an object store that others use, too."""

    def __init__(self, cluster, account=None):
        self.account = account or f'AUTH_{next(_NUMBERS)}'
        self.cluster = cluster
        self.url = f'{cluster.base}/v1/{self.account}'
        self.session = requests.Session()

    def __call__(self, method, path='', data=None, headers=None, **options):
        given = {name.replace('_', '-'): value for name, value in options.pop('meta', {}).items()}
        return self.session.request(method, self.url + path, data=data, headers={**(headers or {}), **given},
                                    timeout=30, **options)

    def get(self, path='', **headers):
        return self('GET', path, headers=_dashed(headers))

    def head(self, path='', **headers):
        return self('HEAD', path, headers=_dashed(headers))

    def put(self, path='', data=None, **headers):
        return self('PUT', path, data, _dashed(headers))

    def post(self, path='', data=None, **headers):
        return self('POST', path, data, _dashed(headers))

    def delete(self, path='', **headers):
        return self('DELETE', path, headers=_dashed(headers))

    def names(self, path='/c'):
        return self.get(path).text.split('\n')[:-1]

    def primaries(self, container=None, obj=None):
        return self.cluster.primaries(self.account, container, obj)

    def others(self, container=None, obj=None):
        """The nodes that are handoffs."""
        primaries = self.primaries(container, obj)
        return [node for node in self.cluster.nodes if node not in primaries]


def _dashed(headers):
    return {name.replace('_', '-'): value for name, value in headers.items()}


@contextlib.contextmanager
def misbehaving(*nodes, act, kind='object'):
    """The servers of these nodes do what ``act(app, environ, start_response)`` does, for a while."""
    servers = []
    for node in nodes:
        node.stop(kind)
        real = pipeline.load(node.conf(kind))

        def app(environ, start_response, real=real):
            return act(real, environ, start_response)
        server = Server(app, ('127.0.0.1', node.ports[kind]), Limits(header_bytes=262144, headers=512), name='bad',
                        access_log=False)
        server.start()
        servers.append(server)
    try:
        yield
    finally:
        for server in servers:
            server.stop(0)
        for node in nodes:
            node.start(kind)


def answering(status, body=b'', **headers):
    """Behaviour: this answer to everything, after the body has been read."""
    def act(app, environ, start_response):
        environ['wsgi.input'].read()
        start_response(status, [(name.replace('_', '-'), value) for name, value in headers.items()])
        return [body]
    return act


def dying_after(size, methods=('GET',)):
    """Behaviour: hang up after so many bytes of an answer."""
    def act(app, environ, start_response):
        body = app(environ, start_response)
        return cut(body) if environ['REQUEST_METHOD'] in methods else body

    def cut(body):
        left = size
        for piece in body:
            if len(piece) >= left:
                yield piece[:left]
                raise OSError('the disk is gone')
            left -= len(piece)
            yield piece
    return act
