"""nova-scheduler: finds a host for each build, claims it, hands the operation over.

Also the undertaker of hosts that do not return: it takes their operations
back, finishes deletes in the database, and refuses the rest.
"""

import logging
import os

from nova.compute import rpc, verbs
from nova.compute.finish import finish_delete, finish_error, reschedule
from nova.db import hosts, servers, services
from nova.db.operations import Operation, OperationStep
from nova.network import server_ports
from nova.scheduler import filters, weights
from nova.scheduler.hosts import HostState, Spec, snapshot, spec
from nova.wiring import Wiring
from strata import clock, errors
from strata.context import Context, background
from strata.journal import Journal, Lease
from strata.performer import Performer
from strata.rpc import serves

LOG = logging.getLogger(__name__)


class NoValidHost(errors.Error):
    """Every host refused; the message says why."""


@serves(rpc.Scheduler)
class SchedulerManager:
    """One nova-scheduler worker; several may run."""

    def __init__(self, wiring: Wiring) -> None:
        filters.check(wiring.conf.filter_scheduler.enabled_filters)
        self.wiring, self.db = wiring, wiring.db
        self.journal = Journal(wiring.db, Operation, OperationStep,
                               f'scheduler:{wiring.host}:{os.getpid()}:{clock.new_uuid()[:8]}',
                               lease=wiring.conf.lease_time)
        self.performer = Performer(
            self.journal, 'scheduler', None,
            {verbs.BUILD.name: self.place, verbs.DELETE.name: self.delete}, give_up=self.give_up,
            attempts=wiring.conf.operation_attempts + wiring.conf.filter_scheduler.max_attempts)

    def perform(self, context: Context, operation_id: str) -> None:
        """Place or delete a server that is on no host."""
        self.performer.perform(operation_id)

    def sweep(self) -> None:
        """Periodic: operations that nobody holds, those of lost hosts, ports of servers that are gone."""
        self.performer.sweep()
        self.bury()
        server_ports.sweep(self.wiring, background('nova-scheduler'))

    def heartbeat(self) -> None:
        """Periodic: say that this scheduler lives."""
        def write() -> None:
            with self.db.transaction() as tx:
                services.beat(tx, self.db.now(tx), 'nova-scheduler', self.wiring.host, 'internal')
        self.db.retried(write)

    # -- placing -----------------------------------------------------------------------------

    def place(self, lease: Lease) -> None:
        """Choose, claim, hand over; or record why no host would do."""
        tried = list(lease.entry.arguments.get('tried', []))
        while True:
            try:
                chosen = self._choose(lease, tried)
                self._claim(lease, chosen)
            except NoValidHost as failure:
                finish_error(self.wiring, lease, failure)
                return
            except errors.Busy:
                return      # superseded between two looks: the delete has the server now
            except errors.Conflict as conflict:
                LOG.debug('claim lost, looking again: %s', conflict)
                continue
            rpc.Compute(self.wiring.bus).perform(lease.context, host=chosen[1].host, operation_id=lease.entry.id)
            return

    def _choose(self, lease: Lease, tried: list[str]) -> tuple[Spec, HostState]:
        with self.db.reading() as tx:
            server = servers.get(tx, background('nova-scheduler'), lease.entry.resource_id)
            wanted, every = spec(self.wiring, tx, server, tried), snapshot(self.wiring, tx)
        settings = self.wiring.conf
        fit, objections = filters.passing(every, wanted, settings.filter_scheduler.enabled_filters)
        if not fit:
            why = filters.sentence(objections)
            last = lease.entry.arguments.get('failure')
            raise NoValidHost(f'{why} The last host said: {last}' if last else why)
        return wanted, weights.best(fit, settings)

    def _claim(self, lease: Lease, chosen: tuple[Spec, HostState]) -> None:
        wanted, host = chosen

        def write() -> None:
            with self.db.transaction() as tx:
                lease.hand_over(tx, topic='compute', host=host.host)
                server_id = lease.entry.resource_id
                hosts.unclaim(tx, server_id)
                hosts.claim(tx, server_id, host.host, vcpus=wanted.vcpus, ram_mb=wanted.ram_mb,
                            disk_gb=wanted.disk_gb)
                servers.move(tx, server_id, expect={'task_state': verbs.SCHEDULING}, host=host.host, node=host.node)
        self.db.retried(write)

    # -- deleting, giving up -----------------------------------------------------------------

    def delete(self, lease: Lease) -> None:
        """Delete a server that is on no host, or on one that is lost."""
        finish_delete(self.wiring, lease)

    def give_up(self, lease: Lease) -> None:
        """Too many beginnings: fail for good."""
        finish_error(self.wiring, lease, errors.Error(lease.entry.message or 'Interrupted too often.'))

    # -- hosts that do not return ------------------------------------------------------------

    def bury(self) -> None:
        """Take the operations of lost hosts whose leases ran out."""
        with self.db.reading() as tx:
            now = self.db.now(tx)
            lost = [service.host for service in services.every(tx, binary='nova-compute')
                    if not service.is_up(now, self.wiring.conf.service_down_time)]
        for host in lost:
            for id in self.journal.waiting('compute', host):
                lease = self.journal.take(id, 'compute', host)
                if lease is not None:
                    LOG.warning('host %s is lost: taking over its %s of %s', host, lease.entry.verb,
                                lease.entry.resource_id)
                    self._inherit(lease, host)

    def _inherit(self, lease: Lease, host: str) -> None:
        try:
            if lease.entry.verb == verbs.DELETE.name:
                finish_delete(self.wiring, lease)
            elif lease.entry.verb == verbs.BUILD.name:
                reschedule(self.wiring, lease, host, f'host {host} is down')
            else:
                finish_error(self.wiring, lease, errors.Unavailable(f'Host {host} is down.'), keep=True)
        except errors.Fenced:
            LOG.info('operation %s was taken by another', lease.entry.id)
        except Exception:      # the others must not wait for this one
            LOG.exception('operation %s of lost host %s is left for another look', lease.entry.id, host)
