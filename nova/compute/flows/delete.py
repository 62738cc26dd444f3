"""Delete a server: its guest, then all it holds, then the row; whatever state it was in."""

from nova.compute.finish import finish_delete, finish_error
from nova.compute.job import Host, Job
from nova.network import ports
from strata import errors
from strata.flow import Flow, NotUndone, Step
from strata.journal import Lease


def destroying(job: Job) -> None:
    """Remove the guest and everything the host keeps of it."""
    job.host.remove_guest(job.lease.entry.resource_id)


def releasing(job: Job) -> None:
    """Give the ports back."""
    ports.release(job.wiring, job.context, job.lease.entry.resource_id, hold=job.lease.hold)


DELETE = Flow('delete', Step(destroying), Step(releasing))


def delete(host: Host, lease: Lease) -> None:
    """Carry out a delete; one that failed leaves the server in error, to be deleted again."""
    try:
        DELETE.run(Job(host, lease), lease, host=host.name)
    except (errors.Fenced, NotUndone):
        raise
    except Exception as failure:
        if not lease.entry.unwinding:
            raise
        finish_error(host.wiring, lease, failure)
        return
    finish_delete(host.wiring, lease)
