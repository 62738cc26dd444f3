"""``glance-registry``: the daemon that keeps images' metadata, for glance-api on this and other hosts."""

from strata import green

green.patch()

import sys
from typing import Any

from oslo_config import cfg

from glance import pipelines
from glance.cmd import wire
from glance.conf import OPTIONS
from glance.wiring import Wiring
from strata import conf as configuration
from strata import errors, log
from strata.service import Service
from strata.wsgi.server import Server, bind


def application(conf: cfg.ConfigOpts, wiring: Wiring | None = None) -> Any:
    """The WSGI application, for a server or for use inside another process."""
    return pipelines.registry_api(wiring or wire.registry_api(conf))


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit status."""
    try:
        conf = configuration.load('glance-registry', OPTIONS, argv)
        log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
        configuration.required(conf, 'database', 'connection')
        sock = bind((conf.registry.bind_host, conf.registry.bind_port))
    except (errors.Error, OSError) as error:
        print(f'glance-registry: {error}', file=sys.stderr)
        return 1

    def setup(service: Service) -> None:
        wiring = wire.registry_api(conf)
        service.add_server(Server(application(conf, wiring), sock, name='glance-registry'))
        assert wiring.db is not None
        service.on_stop(wiring.db.dispose)

    return Service('glance-registry', conf).prefork(conf.workers, setup)


if __name__ == '__main__':
    sys.exit(main())
