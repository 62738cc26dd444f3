"""nova-network: carries the networks of one host."""

from strata import green

green.patch()

import sys
from typing import Any

from oslo_config import cfg

from nova.cmd import api, parts
from nova.network import drivers
from nova.network.drivers import Driver
from nova.network.manager import NetworkManager
from nova.wiring import Wiring
from strata.policy import Policy
from strata.service import Service


def driver(conf: cfg.ConfigOpts) -> Driver:
    """The network driver that the configuration names."""
    settings = conf.network
    if settings.driver == 'fake':
        return drivers.load('fake', directory=settings.fake_state_path)
    return drivers.load(settings.driver, socket_path=settings.helper_socket)


def add_network(service: Service, wiring: Wiring, metadata: Any = None) -> NetworkManager:
    """Make this process the nova-network of its host.

    ``metadata`` is a ``strata.wsgi`` server of the metadata application, which is given a socket in
    each network; without one, servers find no metadata service.
    """
    manager = NetworkManager(wiring, driver(wiring.conf), metadata)
    service.on_start(manager.start)
    service.add_manager(wiring.bus, manager, wiring.host)
    service.add_periodic(manager.heartbeat, wiring.conf.report_interval, 'heartbeat of nova-network')
    interval = wiring.conf.network.reconcile_interval
    service.add_periodic(manager.reconcile, interval, 'reconciler of nova-network', first=interval)
    return manager


def build(service: Service, conf: cfg.ConfigOpts) -> None:
    """Add nova-network to a service of its own."""
    wiring = parts.wiring(conf, Policy([]))
    metadata = api.metadata_server(wiring)
    service.add_server(metadata)
    add_network(service, wiring, metadata)


def main() -> int:
    """The console script."""
    return parts.run('nova-network', build)


if __name__ == '__main__':
    sys.exit(main())
