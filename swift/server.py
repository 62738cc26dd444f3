"""Servers of the storage system: a conf file, its application, and processes that serve it."""

import argparse
import os
import sys
from typing import Any

from strata import errors
from strata.service import Service
from strata.wsgi.limits import Limits
from strata.wsgi.server import Server, bind
from swift import conf as confs
from swift import constraints, daemon, pipeline
from swift.conf import Option


def _workers(value: str) -> int:
    """A number, or ``auto`` for one per processor."""
    return (os.cpu_count() or 1) if value.strip() == 'auto' else confs.count(value)


OPTIONS = {
    **daemon.COMMON,
    'bind_ip': Option(confs.text, '0.0.0.0', 'the address to listen on'),
    'bind_port': Option(confs.positive, None, 'the port to listen on'),
    'backlog': Option(confs.positive, 4096, "length of the kernel's queue"),
    'workers': Option(_workers, None, 'processes; auto: one per processor'),
    'max_clients': Option(confs.positive, 1024, 'connections of a process at a time'),
    'client_timeout': Option(confs.number, 60.0, 'seconds to wait for more of a body'),
    'keepalive_timeout': Option(confs.number, 75.0, 'seconds that an idle connection is kept'),
    'max_header_size': Option(confs.positive, 8192, 'bytes of one header line'),
    'trusted_proxies': Option(confs.commas, [], 'networks whose X-Forwarded-* headers are believed'),
    'log_requests': Option(confs.boolean, True, 'a line in the log per request, of storage servers'),
    'graceful_shutdown_timeout': Option(confs.number, 30.0, 'seconds that requests get to finish'),
    'cert_file': Option(confs.text, '', 'refused: put a TLS proxy in front'),
    'servers_per_port': Option(confs.count, 0, 'refused: not built'),
}

#: kind of server -> its published port
PORTS = {'proxy': 8080, 'object': 6200, 'container': 6201, 'account': 6202}


def limits(conf: Any, kind: str = 'proxy') -> Limits:
    """How much one client of a server may ask; a client of the proxy sends as many headers as swift.conf lets it."""
    headers = constraints.load(conf.swift_dir).max_header_count if kind == 'proxy' else 512
    return Limits(connections=conf.max_clients, line=max(16384, conf.max_header_size * 2), header_bytes=262144,
                  headers=headers, body_time=conf.client_timeout, write_time=conf.client_timeout,
                  idle_time=conf.keepalive_timeout)


def run(kind: str, argv: list[str] | None = None) -> int:
    """``main`` of ``swift-<kind>-server``; returns the exit status."""
    parser = argparse.ArgumentParser(prog=f'swift-{kind}-server', description=f'Serve {kind} requests.')
    parser.add_argument('conf', help='the conf file, or a directory of them')
    parser.add_argument('-v', '--verbose', action='store_true', help='log everything, to standard error')
    args = parser.parse_args(argv)
    try:
        given = confs.read(args.conf, f'app:{kind}-server')
        conf = confs.options(given, OPTIONS, args.conf)
        if conf.cert_file or conf.servers_per_port:
            raise errors.Invalid(f'{args.conf}: cert_file and servers_per_port are not supported; '
                                 f'put a TLS proxy in front, and use workers')
        sock = bind((conf.bind_ip, conf.bind_port or PORTS[kind]), backlog=conf.backlog)
        daemon.start(conf, f'{kind}-server', verbose=args.verbose)
        if (conf.workers or 1) <= 1:
            app = pipeline.load(args.conf)
    except (errors.Error, OSError) as error:
        sys.stderr.write(f'swift-{kind}-server: {error}\n')
        return 1

    def setup(service: Service) -> None:
        # of several processes each loads its own: connections and caches are not to be shared
        served = app if (conf.workers or 1) <= 1 else pipeline.load(args.conf)
        service.add_server(Server(served, sock, limits(conf, kind), name=f'{kind}-server',
                                  trusted_proxies=conf.trusted_proxies,
                                  access_log=kind != 'proxy' and conf.log_requests))
        close = getattr(served, 'close', None)
        if close is not None:
            service.on_stop(close)

    service = Service(f'swift-{kind}-server', grace=conf.graceful_shutdown_timeout)
    return service.prefork(conf.workers or 1, setup)
