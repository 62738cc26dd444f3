"""The verbs that nova-compute and nova-scheduler obey.

A message is only a wake-up: it names the journal row, which says what to do.
"""

from strata.rpc import Interface, call, cast


class Compute(Interface):
    """A nova-compute worker, on the host named when it is called."""

    topic = 'compute'

    perform = cast('operation_id')
    console_output = call('server_id', 'limit')
    diagnostics = call('server_id')


class Scheduler(Interface):
    """Any nova-scheduler."""

    topic = 'scheduler'

    perform = cast('operation_id')
