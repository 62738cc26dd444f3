"""``glance-api``: the daemon that serves the Image API, and finishes what others left."""

from strata import green

green.patch()

import functools
import sys
from typing import Any

from oslo_config import cfg

from glance import pipelines, sweep
from glance.cmd import wire
from glance.conf import OPTIONS
from glance.wiring import Wiring
from strata import conf as configuration
from strata import errors, log
from strata.service import Service
from strata.wsgi.server import Server, bind


def application(conf: cfg.ConfigOpts, wiring: Wiring | None = None) -> Any:
    """The WSGI application, for a server or for use inside another process.

    ``wiring``: the wiring to use, where the caller needs it too (see ``setup``).
    """
    return pipelines.api(wiring or wire.api(conf))


def setup(service: Service, conf: cfg.ConfigOpts, sock: Any, wiring: Wiring | None = None) -> None:
    """Give a service the API on a listening socket, and the sweep."""
    wiring = wiring or wire.api(conf)
    service.add_server(Server(application(conf, wiring), sock, name='glance-api',
                              trusted_proxies=conf.trusted_proxies))
    service.add_periodic(functools.partial(sweep.run_once, wiring), conf.sweep_interval, 'glance sweep')
    if wiring.db is not None:
        service.on_stop(wiring.db.dispose)


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit status."""
    try:
        conf = configuration.load('glance-api', OPTIONS, argv)
        log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
        if not conf.registry.url:
            configuration.required(conf, 'database', 'connection')
        sock = bind((conf.bind_host, conf.bind_port))
    except (errors.Error, OSError) as error:
        print(f'glance-api: {error}', file=sys.stderr)
        return 1
    return Service('glance-api', conf).prefork(conf.workers, lambda service: setup(service, conf, sock))


if __name__ == '__main__':
    sys.exit(main())
