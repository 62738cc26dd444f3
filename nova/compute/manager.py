"""nova-compute: carries out verbs on the servers of one host."""

import functools
import logging
import os
from typing import Any

from nova.compute import rpc, verbs
from nova.compute.finish import finish_error
from nova.compute.flows.build import BUILD, abandon, build
from nova.compute.flows.delete import delete
from nova.compute.flows.simple import performs
from nova.compute.job import Host, Job
from nova.compute.reconcile import Reconciler
from nova.db import hosts, services
from nova.db.operations import Operation, OperationStep
from nova.virt.driver import Driver, UnknownGuest
from nova.virt.images import Cache
from nova.wiring import Wiring
from strata import clock, errors
from strata.context import Context
from strata.journal import Journal, Lease
from strata.performer import Performer
from strata.rpc import serves

LOG = logging.getLogger(__name__)


@serves(rpc.Compute)
class ComputeManager:
    """The worker of one host."""

    def __init__(self, wiring: Wiring, driver: Driver, cache: Cache) -> None:
        self.wiring, self.db, self.driver = wiring, wiring.db, driver
        self.host = Host(wiring, driver, cache)
        settings = wiring.conf
        self.journal = Journal(wiring.db, Operation, OperationStep,
                               f'compute:{wiring.host}:{os.getpid()}:{clock.new_uuid()[:8]}',
                               lease=settings.lease_time)
        handlers = {verbs.BUILD.name: build, verbs.DELETE.name: delete,
                    **{verb.name: performs(verb) for verb in verbs.SIMPLE}}
        self.performer = Performer(
            self.journal, 'compute', wiring.host,
            {name: functools.partial(handler, self.host) for name, handler in handlers.items()},
            give_up=self.give_up, attempts=settings.operation_attempts,
            limit=settings.compute.max_concurrent_operations)
        self.reconciler = Reconciler(self.host)
        self.performer.overtaken = self.reconciler.overtaken

    def start(self) -> None:
        """Connect, report, and take up what a predecessor left: called once, before messages are taken."""
        self.driver.init_host()
        self.host.tidy()
        self.report()
        self.heartbeat()
        taken_up = self.performer.recover()
        if taken_up:
            LOG.warning('taking up %d operations of the worker before us', taken_up)
        if self.wiring.conf.compute.resume_guests_state_on_host_boot:
            self.reconciler.start_guests()
        self.driver.on_lifecycle(self.reconciler.guest_changed)

    # -- what the bus asks -------------------------------------------------------------------

    def perform(self, context: Context, operation_id: str) -> None:
        """Carry out one operation of the journal."""
        self.performer.perform(operation_id)

    def console_output(self, context: Context, server_id: str, limit: int) -> str:
        """The end of a server's console, at most ``limit`` bytes; what is not UTF-8 is replaced."""
        try:
            return self.driver.console_output(server_id, limit).decode('utf-8', 'replace')
        except UnknownGuest:
            return ''

    def diagnostics(self, context: Context, server_id: str) -> dict[str, Any]:
        """A guest's counters."""
        return self.driver.diagnostics(server_id)

    # -- periodic ----------------------------------------------------------------------------

    def heartbeat(self) -> None:
        """Say that this host lives."""
        def write() -> None:
            with self.db.transaction() as tx:
                services.beat(tx, self.db.now(tx), 'nova-compute', self.wiring.host,
                              self.wiring.conf.default_availability_zone)
        self.db.retried(write)

    def report(self) -> None:
        """Say what this host has, and how much of it may be promised."""
        has, settings = self.driver.capacity(), self.wiring.conf.compute
        limits = {
            'vcpus': int((has.vcpus - settings.reserved_host_cpus) * settings.cpu_allocation_ratio),
            'ram_mb': int((has.ram_mb - settings.reserved_host_memory_mb) * settings.ram_allocation_ratio),
            'disk_gb': int((has.disk_gb - settings.reserved_host_disk_mb / 1024) * settings.disk_allocation_ratio)}

        def write() -> None:
            with self.db.transaction() as tx:
                hosts.report(tx, self.wiring.host, limits, vcpus=has.vcpus, ram_mb=has.ram_mb, disk_gb=has.disk_gb,
                             hypervisor_hostname=has.hypervisor_hostname, hypervisor_type=has.hypervisor_type,
                             hypervisor_version=has.hypervisor_version, host_ip=has.host_ip,
                             cpu_info=dict(has.cpu_info), uptime=has.uptime[:255], running_vms=has.running,
                             disk_available_least=has.disk_available_least_gb)
        self.db.retried(write)

    def sweep(self) -> None:
        """Operations of this host that nobody holds."""
        self.performer.sweep()

    def reconcile(self) -> None:
        """Make database and hypervisor agree, and drop cached images that nobody uses."""
        self.reconciler.run_once()
        self.host.cache.expire(self.driver.images_in_use())

    # -- giving up ---------------------------------------------------------------------------

    def give_up(self, lease: Lease) -> None:
        """An operation that was begun too often: leave nothing half done, and say so.

        What even unwinding cannot clear away stays the server's, and goes with its delete.
        """
        failure = errors.Error(f'Interrupted {lease.epoch - 1} times, given up.')
        if lease.entry.verb == verbs.BUILD.name and lease.epoch <= 2 * self.performer.attempts:
            BUILD.unwind(Job(self.host, lease), lease, self.host.name)
            abandon(self.host, lease, failure)
        else:
            finish_error(self.wiring, lease, failure)
