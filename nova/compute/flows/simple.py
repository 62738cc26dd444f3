"""The verbs that are one call of the driver: start, stop, reboot, pause, suspend and their opposites."""

from collections.abc import Callable

from nova.compute import verbs
from nova.compute.finish import finish, finish_error
from nova.compute.job import Host, Job
from nova.compute.verbs import Verb
from strata import errors
from strata.flow import Flow, NotUndone, Step
from strata.journal import Lease


def powering_on(job: Job) -> None:
    """Start the guest."""
    job.plug()      # devices of the network vanish with the host's power
    job.driver.start(job.guest())


def powering_off(job: Job) -> None:
    """Shut the guest down, politely at first."""
    timeout = job.lease.entry.arguments.get('timeout', job.wiring.conf.compute.shutdown_timeout)
    job.driver.stop(job.server.id, timeout=timeout)


def rebooting(job: Job) -> None:
    """Ask the guest to restart."""
    job.driver.reboot(job.guest(), hard=False, timeout=job.wiring.conf.compute.shutdown_timeout)


def rebooting_hard(job: Job) -> None:
    """Pull the plug and start afresh, from any state."""
    job.plug()      # devices of the network vanish with the host's power
    job.driver.reboot(job.guest(), hard=True)


def pausing(job: Job) -> None:
    """Freeze the guest in memory."""
    job.driver.pause(job.server.id)


def unpausing(job: Job) -> None:
    """Undo that."""
    job.driver.unpause(job.server.id)


def suspending(job: Job) -> None:
    """Save the guest's memory to disk."""
    job.driver.suspend(job.server.id)


def resuming(job: Job) -> None:
    """Undo that."""
    job.plug()      # devices of the network vanish with the host's power
    job.driver.resume(job.guest())


FLOWS: dict[str, Flow] = {verb.name: Flow(verb.name, Step(do)) for verb, do in (
    (verbs.START, powering_on), (verbs.STOP, powering_off), (verbs.SOFT_REBOOT, rebooting),
    (verbs.HARD_REBOOT, rebooting_hard), (verbs.PAUSE, pausing), (verbs.UNPAUSE, unpausing),
    (verbs.SUSPEND, suspending), (verbs.RESUME, resuming))}


def performs(verb: Verb) -> Callable[[Host, Lease], None]:
    """Run a verb's flow, then write where it led.

    On failure the server keeps its vm_state, is free for another verb, and
    carries the fault; a failed hard reboot leaves it in error.
    """
    def perform(host: Host, lease: Lease) -> None:
        try:
            FLOWS[verb.name].run(Job(host, lease), lease, host=host.name)
        except (errors.Fenced, NotUndone):
            raise
        except Exception as failure:
            if not lease.entry.unwinding:
                raise
            finish_error(host.wiring, lease, failure, keep=verb is not verbs.HARD_REBOOT)
            return
        finish(host.wiring, lease, vm_state=verb.leads,
               power_state=int(host.driver.power_state(lease.entry.resource_id)))
    return perform
