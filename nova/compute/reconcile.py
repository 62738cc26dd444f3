"""Make the database and the hypervisor of one host agree.

Takes no input, is idempotent, and touches no server that an operation is at
work on: its journal row is the better authority.

==================== ==================== ==========================================
the database says     the hypervisor says  so
==================== ==================== ==========================================
deleted, or elsewhere there is a guest     destroy it: a delete finished without us
active                shut down            the guest did it itself: stopped
stopped               running              somebody started it: stop it
paused, suspended     otherwise            the power state is recorded
==================== ==================== ==========================================
"""

import logging
from typing import Any

from nova.compute import servers as lives
from nova.compute import verbs
from nova.compute.job import Host
from nova.db import servers
from nova.db.servers import Server
from nova.virt.driver import PowerState
from strata import errors, green
from strata.context import background

LOG = logging.getLogger(__name__)
_OFF = (PowerState.SHUTDOWN, PowerState.CRASHED)


class Reconciler:
    """The reconciler of one nova-compute."""

    def __init__(self, host: Host) -> None:
        self.host, self.db, self.driver = host, host.wiring.db, host.driver
        self.context = background('nova-compute')

    def run_once(self) -> None:
        """One comparison of everything."""
        guests = self.driver.guests()
        with self.db.reading() as tx:
            mine = {server.id: server for server in servers.on_host(tx, self.host.name)}
            strangers = [id for id in guests if id not in mine]
            known = {server.id: server for server in tx.scalars(
                servers.visible(self.context, deleted=True).where(Server.id.in_(strangers)))}
        for id in strangers:
            self._stranger(id, known.get(id))
        for server in mine.values():
            if _differs(server, guests.get(server.id, PowerState.NOSTATE)):
                self._settle(server)

    def guest_changed(self, id: str, state: PowerState) -> None:
        """A guest changed by itself, or by a verb under way; look after the verb had time to say so."""
        green.sleep(0)
        server = self._fresh(id)
        if server is not None and server.host == self.host.name and _differs(server, self.driver.power_state(id)):
            self._settle(server)

    def overtaken(self, id: str) -> None:
        """An operation was taken from us at work: what it made too late, for a server that is gone, goes too."""
        with self.db.reading() as tx:
            server = tx.scalar(servers.visible(self.context, deleted=True).where(Server.id == id))
        if server is not None:
            self._stranger(id, server)

    def start_guests(self) -> None:
        """After the host came up: start what ought to run and does not."""
        guests = self.driver.guests()
        with self.db.reading() as tx:
            asleep = [server for server in servers.on_host(tx, self.host.name)
                      if server.vm_state == verbs.ACTIVE and server.task_state is None
                      and guests.get(server.id) in (PowerState.SHUTDOWN, PowerState.CRASHED)]
        for server in asleep:
            LOG.info('server %s ought to run: starting it', server.id)
            try:
                lives.begin(self.host.wiring, self.context, server.id, verbs.HARD_REBOOT)
            except errors.Error as error:
                LOG.warning('server %s was not started: %s', server.id, error)

    def _stranger(self, id: str, server: Server | None) -> None:
        if server is None:
            LOG.warning('guest %s is in no database of ours; left alone', id)
        elif server.deleted or (server.host != self.host.name and server.task_state is None):
            LOG.warning('guest %s has no business here any more: destroying it', id)
            self.host.remove_guest(id)

    def _settle(self, server: Any) -> None:
        """Act on a difference, unless it is gone at a second look or a verb came between the two."""
        power, fresh = self.driver.power_state(server.id), self._fresh(server.id)
        if fresh is None or fresh.updated_at != server.updated_at or not _differs(fresh, power):
            return
        if server.vm_state == verbs.STOPPED and power == PowerState.RUNNING:
            LOG.warning('server %s is stopped, but its guest runs: stopping it', server.id)
            self.driver.stop(server.id, timeout=self.host.wiring.conf.compute.shutdown_timeout)
            power = self.driver.power_state(server.id)
        values: dict[str, object] = {'power_state': int(power)}
        if server.vm_state == verbs.ACTIVE and power in _OFF:
            values['vm_state'] = verbs.STOPPED
        try:
            with self.db.transaction() as tx:
                servers.move(tx, fresh.id, expect={'task_state': None, 'host': self.host.name,
                                                   'updated_at': server.updated_at}, **values)
        except errors.Busy:
            LOG.debug('server %s moved on meanwhile', server.id)

    def _fresh(self, id: str) -> Any:
        """A server's states, or ``None`` if it is gone; not all of it: this follows every change of a guest."""
        with self.db.reading() as tx:
            return tx.execute(servers.visible(self.context).where(Server.id == id).with_only_columns(
                Server.id, Server.host, Server.vm_state, Server.task_state, Server.power_state,
                Server.updated_at)).first()


def _differs(server: Any, power: PowerState) -> bool:
    """Whether a server at rest is not as its guest is."""
    return server.task_state is None and (
        server.power_state != power or (server.vm_state == verbs.ACTIVE and power in _OFF)
        or (server.vm_state == verbs.STOPPED and power == PowerState.RUNNING))
