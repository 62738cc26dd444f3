"""Build a server on the host that the scheduler claimed.

::

    networking -> block_device_mapping -> spawning -> (active)
        |                 |                  |
     release           (cache)            destroy        <- unwinding, last first

A host that cannot build gives the server back to the scheduler; what is wrong
with the server itself (a bad image) is an error at once.
"""

from typing import Any

from nova.compute import verbs
from nova.compute.finish import finish, finish_error, load, reschedule
from nova.compute.job import Host, Job
from nova.db import hosts, servers
from nova.network import ports
from nova.virt.driver import PowerState, Unbuildable
from strata import clock, errors
from strata.flow import Flow, NotUndone, Step
from strata.journal import Lease


def _task(state: str) -> Any:
    """The task_state that clients see while a step runs."""
    def begins(tx: Any, job: Job) -> None:
        servers.move(tx, job.lease.entry.resource_id, expect={'host': job.host.name}, task_state=state)
        job.see(tx)
    return begins


def networking(job: Job) -> None:
    """Make the server's ports, and have this host's network agent plug them."""
    job.plug()


def unplug(job: Job) -> None:
    """Give the ports back; the agent's reconciler takes their devices away."""
    ports.release(job.wiring, job.context, job.lease.entry.resource_id, hold=job.lease.hold)


def block_device_mapping(job: Job) -> None:
    """Have the base image in the cache, verified."""
    job.image()


def spawning(job: Job) -> None:
    """Define and boot."""
    job.driver.spawn(job.guest())


def destroy(job: Job) -> None:
    """Leave nothing of the guest behind."""
    job.host.remove_guest(job.lease.entry.resource_id)


BUILD = Flow(
    'build',
    Step(networking, undo=unplug, begins=_task(verbs.NETWORKING)),
    Step(block_device_mapping, begins=_task(verbs.BLOCK_DEVICES)),
    Step(spawning, undo=destroy, begins=_task(verbs.SPAWNING)))


def build(host: Host, lease: Lease) -> None:
    """Carry out a build, from wherever it stands."""
    job = Job(host, lease)
    try:
        BUILD.run(job, lease, host=host.name)
    except (errors.Fenced, NotUndone):
        raise
    except Exception as failure:
        if lease.entry.step and not lease.entry.unwinding:
            raise      # a failure to record, not to build: the row is taken up again
        _failed(host, lease, failure)
        return
    finish(host.wiring, lease, vm_state=verbs.ACTIVE, power_state=int(PowerState.RUNNING),
           launched_at=clock.CLOCK.now(), progress=100)


def _failed(host: Host, lease: Lease, failure: Exception) -> None:
    """Another host may try, unless the fault is in the request itself."""
    mine = isinstance(failure, errors.Error) and failure.status < 500 and not isinstance(failure, Unbuildable)
    attempts = len(lease.entry.arguments.get('tried', [])) + 1
    if mine or attempts >= host.wiring.conf.filter_scheduler.max_attempts or load(
            host.wiring, lease).request.get('host'):
        abandon(host, lease, failure)
    else:
        reschedule(host.wiring, lease, host.name, errors.told(failure))


def abandon(host: Host, lease: Lease, failure: BaseException) -> None:
    """The build has failed for good: the server is in error, on no host, and takes nothing of one."""
    def unclaim() -> None:
        with host.wiring.db.transaction() as tx:
            lease.hold(tx)
            hosts.unclaim(tx, lease.entry.resource_id)
    host.wiring.db.retried(unclaim)
    finish_error(host.wiring, lease, failure, host=None, node=None)
