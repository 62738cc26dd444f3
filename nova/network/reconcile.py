"""Making this host carry the networks and routers that the database says it should.

::

    wake-up, plug, every minute ──> converge(network) ──> rows -> state -> driver -> statuses
                                        one at a time for each network, and who comes while one
                                        is under way shares the next

Idempotent and without input: what is lost, doubled or late changes nothing in the end.
"""

import functools
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import network_hosts, networks, ports, security_groups, services
from nova.db.floating_ips import FloatingIp
from nova.db.ports import DHCP, Port
from nova.db.routers import Router
from nova.network import dhcp, faults, states
from nova.network.drivers import Driver
from nova.network.drivers.state import NetworkState, RouterState
from nova.network.plugs import SERVICE
from nova.wiring import Wiring
from strata import context as contexts
from strata import errors, green
from strata.db import retried, swap

LOG = logging.getLogger(__name__)
BINARY = 'nova-network'
#: seconds that a wake-up waits for others, and for a plug, to come with it
TOGETHER = 0.05
#: how often a run lets all go first that could: of many servers built at once, some come to share it
ROUNDS = 4
#: what a wake-up names: networks, routers, groups, networks to be spared
_Asked = tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]


class Turns:
    """Runs a function one at a time for each key; callers that come meanwhile share one run after it."""

    def __init__(self, function: Callable[[str], None]) -> None:
        self._function = function
        self._turns: dict[str, _Turn] = {}
        self._began: dict[str, float] = {}

    def run(self, key: str, since: float | None = None) -> None:
        """Return once a run for the key that began after this call has ended; raises what it raised.

        With ``since`` (of ``time.monotonic``) one that began after then, and went well, is enough.
        """
        if since is not None and self._began.get(key, 0.0) > since:
            return
        turn = self._turns.setdefault(key, _Turn())
        turn.asked += 1
        mine = turn.asked
        turn.waiting += 1
        try:
            with turn.lock:
                if turn.done < mine:
                    for _ in range(ROUNDS):
                        green.sleep(0)
                    upto, begun = turn.asked, time.monotonic()
                    self._began.pop(key, None)
                    self._function(key)
                    turn.done, self._began[key] = upto, begun
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                self._turns.pop(key, None)

    def forget(self) -> None:
        """Let go of when the last runs began."""
        self._began.clear()


class _Turn:
    def __init__(self) -> None:
        self.lock = green.Semaphore(1)
        self.asked = self.done = self.waiting = 0


class Reconciler:
    """One host's networks.

    ``metadata`` (a ``strata.wsgi`` server, or nothing) is given a listening socket for each network.
    """

    def __init__(self, wiring: Wiring, driver: Driver, metadata: Any = None) -> None:
        self.wiring, self.db, self.driver, self.metadata = wiring, wiring.db, driver, metadata
        self.context = contexts.background(BINARY)
        self._turns = Turns(self._converge_network)
        self.network = self._turns.run
        self.router = Turns(self._converge_router).run
        self._carried: set[str] = set()
        self._routed: set[str] = set()
        self._listening: set[str] = set()
        #: the wake-ups that wait for others
        self._asked: dict[_Asked, float] = {}

    # -- all of it -------------------------------------------------------------------------

    def run_once(self) -> None:
        """Make the host as the database says, and remove what should not be there.

        What fails is logged and left for the next run; the rest is done.
        """
        self._turns.forget()
        present = self.driver.present()
        self._carried &= present.networks
        self._forget_sockets(self._listening - present.networks)
        self.claim()
        with self.db.reading() as tx:
            carried = network_hosts.carried(tx, self.wiring.host)
            mine = set(tx.scalars(sa.select(Router.id).where(Router.host == self.wiring.host)))
            stale = set(tx.scalars(sa.select(Port.network_id).where(
                Port.host == self.wiring.host, Port.device_owner == DHCP)))
        for id in sorted(present.routers - mine):
            self._try(self.router, id)
        for id in sorted(carried | present.networks | stale):
            self._try(self.network, id)
        for id in sorted(mine):
            self._try(self.router, id)
        for port_id, network_id in sorted(present.ports.items()):
            if network_id not in present.networks | carried:
                self._try(self.driver.remove_port, port_id)

    def _try(self, function: Callable[[str], None], id: str) -> None:
        try:
            function(id)
        except Exception as error:
            LOG.warning('%s %s: %s', getattr(function, '__qualname__', 'run'), id, error,
                        exc_info=not isinstance(error, errors.Error))

    def refresh(self, network_ids: Collection[str], router_ids: Collection[str],
                group_ids: Collection[str], spared: Collection[str] = ()) -> None:
        """Bring up to date what this host has of some networks, routers and groups.

        ``spared`` are networks that a plug looks at in a moment.  A change and the plug that follows it, or many
        changes at once, are one run of a network; who comes while another waits leaves the work to it.
        """
        first = not self._asked
        self._asked[frozenset(network_ids), frozenset(router_ids), frozenset(group_ids),
                    frozenset(spared)] = time.monotonic()
        if not first:
            return
        try:
            green.sleep(TOGETHER)
        finally:
            asked, self._asked = self._asked, {}
        self._refresh(asked)

    def _refresh(self, asked: Mapping[_Asked, float]) -> None:
        """``asked``: networks, routers, groups and spared networks, and when a wake-up last named just these."""
        routed = {id for _, ids, _, _ in asked for id in ids}
        if routed:
            self.claim(routed)
        wanted: dict[str, float] = {}
        for (network_ids, _, group_ids, spared), since in asked.items():
            for id in (network_ids | self._of_groups(group_ids)) - spared:
                wanted[id] = max(since, wanted.get(id, since))
        known, mine = self._concerned(wanted, routed)
        for id in sorted((routed & self._routed) - mine):
            self._try(self.router, id)
        for id in sorted(known):
            self._try(functools.partial(self.network, since=wanted.get(id, min(asked.values()))), id)
        for id in sorted(mine):
            self._try(self.router, id)

    def _concerned(self, network_ids: Collection[str], router_ids: Collection[str]) -> tuple[set[str], set[str]]:
        """Those of some networks and routers that this host has to do with."""
        if not network_ids and not router_ids:
            return set(), set()
        with self.db.reading() as tx:
            known = network_hosts.carried(tx, self.wiring.host, network_ids)
            mine = set(tx.scalars(sa.select(Router.id).where(
                Router.id.in_(router_ids), Router.host == self.wiring.host))) if router_ids else set()
            # an interface that was added may be the first port this host has on a network
            known |= (self._feet(tx, mine) if mine else set()) - self._carried
        return known | (set(network_ids) & self._carried), mine

    def _of_groups(self, group_ids: Collection[str]) -> set[str]:
        """The networks where this host has ports whose rules may have changed with some groups."""
        if not group_ids:
            return set()
        with self.db.reading() as tx:
            concerned = set(group_ids) | security_groups.referring(tx, group_ids)
            return ports.networks_of_groups(tx, concerned, self.wiring.host)

    @staticmethod
    def _feet(tx: Session, router_ids: Collection[str]) -> set[str]:
        return set(tx.scalars(sa.select(Port.network_id).where(
            Port.device_id.in_(router_ids), Port.device_owner.in_((ports.INTERFACE, ports.GATEWAY)))))

    # -- one network -----------------------------------------------------------------------

    def _converge_network(self, id: str) -> None:
        state, failure = self._wanted(id), None
        if state is None or not dhcp.is_settled(state):
            failure = self._settle_dhcp(id)
            state = self._wanted(id)
        if state is None:
            self._forget_sockets({id})
            self.driver.remove_network(id)
            self._carried.discard(id)
            return
        self.driver.apply_network(state)
        self._carried.add(id)
        self._listen(state)
        self._report_ports(state)
        if failure is not None:
            raise failure

    def _wanted(self, id: str) -> NetworkState | None:
        with self.db.reading() as tx:
            return states.network_states(tx, self.wiring, [id]).get(id)

    @retried
    def _settle_dhcp(self, id: str) -> errors.Error | None:
        """Give the DHCP server the addresses it needs; the error if there are none left, others are raised."""
        try:
            with self.db.transaction() as tx:
                dhcp.settle(tx, self.wiring, self.context, self.wiring.host, id)
        except faults.IpAddressGenerationFailure as error:
            return error
        return None

    @retried
    def _report_ports(self, state: NetworkState) -> None:
        """Say of this host's guest ports whether they are up: of those the state named, no others."""
        for status, up in (('ACTIVE', True), ('DOWN', False)):
            named = {port.id for port in state.ports
                     if port.tap and (port.admin_state_up and state.admin_state_up) is up}
            if not named:
                continue
            with self.db.reading() as tx:
                behind = named & ports.not_in_status(tx, state.id, self.wiring.host, status)
            if not behind:
                continue
            with self.db.transaction() as tx:
                tx.execute(sa.update(Port).where(
                    Port.id.in_(behind), Port.host == self.wiring.host, Port.status != status,
                    Port.device_owner.not_in((DHCP, *SERVICE))).values(status=status)
                    .execution_options(synchronize_session=False))

    def _listen(self, state: NetworkState) -> None:
        """Give the metadata server a socket inside the network for as long as it has an address there.

        With the last server goes the address, and what it was in: a socket kept would hear nobody.
        """
        if not state.has_metadata:
            self._forget_sockets({state.id})
        if self.metadata is None or not state.has_metadata or state.id in self._listening:
            return
        self.metadata.listen(self.driver.metadata_socket(state.id), key=state.id)
        self._listening.add(state.id)

    def _forget_sockets(self, ids: Collection[str]) -> None:
        for id in set(ids) & self._listening:
            self.metadata.unlisten(id)
            self._listening.discard(id)

    # -- one router ------------------------------------------------------------------------

    def claim(self, ids: Collection[str] | None = None) -> None:
        """Take routers that no host has, or whose host is down, if this host can carry them."""
        with self.db.reading() as tx:
            now = self.db.now(tx)
            alive = {each.host for each in services.every(tx, binary=BINARY)
                     if each.is_up(now, self.wiring.conf.service_down_time)} | {self.wiring.host}
            query = sa.select(Router).where(sa.or_(Router.host.is_(None), Router.host.not_in(alive)))
            free = tx.scalars(query if ids is None else query.where(Router.id.in_(ids))).all()
            mine = [router for router in free if self._reaches(tx, router)]
        for router in mine:
            try:
                self._take(router)
            except errors.Busy:
                LOG.debug('router %s was taken by another host', router.id)

    def _reaches(self, tx: Session, router: Router) -> bool:
        """Whether this host has a way out to the router's external network."""
        if router.gateway_port_id is None:
            return True
        port = tx.get(Port, router.gateway_port_id)
        network = networks.some(tx, [port.network_id])[0] if port is not None else None
        return network is None or network.network_type not in ('flat', 'vlan') or (
            network.physical_network in self.wiring.conf.network.physical_interfaces)

    @retried
    def _take(self, router: Router) -> None:
        with self.db.transaction() as tx:
            swap(tx, router, expect={'host': router.host}, kind='Router', host=self.wiring.host)
            tx.execute(sa.update(Port).where(
                Port.device_id == router.id, Port.device_owner.in_((ports.INTERFACE, ports.GATEWAY)))
                .values(host=self.wiring.host).execution_options(synchronize_session=False))

    def _converge_router(self, id: str) -> None:
        with self.db.reading() as tx:
            state = states.router_states(tx, self.wiring, [id]).get(id)
        if state is None:
            self.driver.remove_router(id)
            self._routed.discard(id)
            return
        feet = [*state.interfaces, *([state.gateway] if state.gateway else [])]
        for network_id in sorted({foot.network_id for foot in feet} - self._carried):
            self.network(network_id)
        self.driver.apply_router(state)
        self._routed.add(id)
        self._report_router(state, [foot.port_id for foot in feet])

    @retried
    def _report_router(self, state: RouterState, foot_ids: list[str]) -> None:
        """Say that a router's ports are up, and its floating IPs if it is.

        A router that is switched off keeps its ports, as one in the field does: who removes an interface
        waits for its port to be up.
        """
        up = 'ACTIVE' if state.admin_state_up else 'DOWN'
        floating = [each.id for each in state.floating_ips]
        with self.db.reading() as tx:
            behind = (tx.scalar(sa.select(Port.id).where(Port.id.in_(foot_ids),
                                                         Port.status != 'ACTIVE').limit(1))
                      or tx.scalar(sa.select(FloatingIp.id).where(
                          FloatingIp.id.in_(floating), FloatingIp.status != up).limit(1)))
        if behind is None:
            return
        with self.db.transaction() as tx:
            tx.execute(sa.update(Port).where(Port.id.in_(foot_ids), Port.device_id == state.id)
                       .values(status='ACTIVE').execution_options(synchronize_session=False))
            tx.execute(sa.update(FloatingIp).where(FloatingIp.id.in_(floating),
                                                   FloatingIp.router_id == state.id)
                       .values(status=up).execution_options(synchronize_session=False))
