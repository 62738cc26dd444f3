"""The parts that nova's daemons are put together from, each made from the configuration.

A daemon adds its part to a ``Service``; where everything shares one process,
the launcher adds them all to one.
"""

import importlib
import os
import sys
from collections.abc import Callable

from oslo_config import cfg

from nova import conf as options
from nova.compute.images import Images
from nova.compute.manager import ComputeManager
from nova.scheduler.manager import SchedulerManager
from nova.virt.driver import Driver
from nova.virt.images import Cache
from nova.wiring import Wiring
from strata import conf as configuration
from strata import errors, log, rpc
from strata.db import Database
from strata.identity import Identity
from strata.policy import Policy
from strata.service import Service

#: where the migration scripts are
MIGRATIONS = 'nova.db:migrations'
#: the exchange that all of nova's messages go through
EXCHANGE = 'nova'


def wiring(conf: cfg.ConfigOpts, policy: Policy, *, bus: rpc.Bus | None = None) -> Wiring:
    """The wiring of one process; ``errors.Invalid`` names an option that is missing."""
    identity = Identity(conf.keystone_authtoken)
    return Wiring(
        conf=conf, policy=policy, identity=identity, bus=bus or rpc.connect(conf.transport_url, EXCHANGE),
        db=Database(configuration.required(conf, 'database', 'connection'), pool=conf.database.max_pool_size,
                    retries=conf.database.max_retries),
        images=Images(identity, endpoint=conf.glance.endpoint_override))


def driver(conf: cfg.ConfigOpts) -> Driver:
    """The hypervisor driver that the configuration names."""
    settings, host = conf.compute, configuration.hostname(conf)
    if settings.driver == 'fake':
        fake = importlib.import_module('nova.virt.fake')
        return fake.FakeDriver(settings.fake_state_path, hostname=host, vcpus=settings.fake_vcpus,
                               ram_mb=settings.fake_ram_mb, disk_gb=settings.fake_disk_gb)
    libvirt = importlib.import_module('nova.virt.libvirt.driver')
    return libvirt.LibvirtDriver(settings.instances_path, uri=conf.libvirt.connection_uri,
                                 virt_type=conf.libvirt.virt_type, cpu_mode=conf.libvirt.cpu_mode)


def add_compute(service: Service, parts: Wiring) -> ComputeManager:
    """Make this process the nova-compute of its host."""
    conf = parts.conf
    cache = Cache(os.path.join(conf.compute.instances_path, '_base'),
                  expire_after=conf.compute.image_cache_days * 86400)
    manager = ComputeManager(parts, driver(conf), cache)
    service.on_start(manager.start)
    service.add_manager(parts.bus, manager, parts.host)
    service.add_periodic(manager.heartbeat, conf.report_interval, 'heartbeat of nova-compute')
    service.add_periodic(manager.sweep, conf.sweep_interval, 'sweep of nova-compute')
    service.add_periodic(manager.report, 60, 'resources of nova-compute', first=60)
    service.add_periodic(manager.reconcile, conf.compute.sync_power_state_interval, 'reconciler of nova-compute',
                         first=conf.compute.sync_power_state_interval)
    service.on_stop(manager.driver.close)
    return manager


def add_scheduler(service: Service, parts: Wiring) -> SchedulerManager:
    """Make this process a nova-scheduler."""
    manager = SchedulerManager(parts)
    service.add_manager(parts.bus, manager, parts.host)
    service.add_periodic(manager.heartbeat, parts.conf.report_interval, 'heartbeat of nova-scheduler')
    service.add_periodic(manager.sweep, parts.conf.sweep_interval, 'sweep of nova-scheduler')
    return manager


def run(prog: str, build: Callable[[Service, cfg.ConfigOpts], object], argv: list[str] | None = None) -> int:
    """A daemon's ``main``: configuration, log, parts, then serve until told to stop.

    A failure to start is one line on standard error, and status 1.
    """
    try:
        conf = options.load(prog, argv)
        log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
        service = Service(prog, conf)
        build(service, conf)
        return service.run()
    except errors.Error as error:
        print(f'{prog}: {error}', file=sys.stderr)
        return 1
