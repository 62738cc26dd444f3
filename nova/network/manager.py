"""nova-network: makes one host carry the networks of its servers, and the routers it has taken."""

import logging
from typing import Any

from nova.db import network_hosts, ports, services
from nova.network import rpc
from nova.network.drivers import Driver
from nova.network.reconcile import BINARY, Reconciler
from nova.wiring import Wiring
from strata import errors, green
from strata.context import Context
from strata.db import retried
from strata.rpc import serves

LOG = logging.getLogger(__name__)

#: seconds that a driver which is not there yet is waited for at the start
PATIENCE = 15


@serves(rpc.Network)
class NetworkManager:
    """The worker of one host.  ``metadata`` is the server that listens inside its networks, if it has one."""

    def __init__(self, wiring: Wiring, driver: Driver, metadata: Any = None) -> None:
        self.wiring, self.db, self.driver = wiring, wiring.db, driver
        self.reconciler = Reconciler(wiring, driver, metadata)

    def start(self) -> None:
        """Report, and make the host as it should be: called once, before messages are taken."""
        self.heartbeat()
        for patience in range(PATIENCE, 0, -1):
            try:
                for problem in self.driver.check():
                    LOG.warning('%s', problem)
                self.reconciler.run_once()
                return
            except errors.Unavailable as error:      # the helper may start later than we do
                LOG.warning('%s%s', error, '' if patience > 1 else ' Left to the reconciler.')
                green.sleep(1)

    # -- what the bus asks -------------------------------------------------------------------

    def plug(self, context: Context, server_id: str) -> list[dict[str, Any]]:
        """Make a server's ports ready on this host; its devices, in NIC order, once they are there."""
        with self.db.reading() as tx:
            cards = ports.cards(tx, server_id, self.wiring.host)
        for network_id in sorted({port.network_id for port in cards}):
            self.reconciler.network(network_id)
        return [{'port_id': port.id, 'network_id': port.network_id, 'mac': port.mac_address,
                 'device': ports.device_name(port.id)}
                for port in cards]

    def refresh(self, context: Context, networks: list[str], routers: list[str], groups: list[str],
                plugging: str | None) -> None:
        """Look at some networks, routers and security groups again; a failure is left to the next run.

        The networks are spared where a plug that looks at them comes next: on the host ``plugging``.
        """
        try:
            self.reconciler.refresh(networks, routers, groups, networks if plugging == self.wiring.host else ())
        except errors.Unavailable as error:
            LOG.warning('not refreshed, to be done by the next run: %s', error)

    # -- periodic ----------------------------------------------------------------------------

    @retried
    def heartbeat(self) -> None:
        """Say that this host lives, and where its tunnels begin."""
        with self.db.transaction() as tx:
            now = self.db.now(tx)
            services.beat(tx, now, BINARY, self.wiring.host, self.wiring.conf.default_availability_zone)
            network_hosts.report(tx, now, self.wiring.host, self.wiring.conf.network.local_ip)

    def reconcile(self) -> None:
        """Make the host as the database says."""
        self.reconciler.run_once()
