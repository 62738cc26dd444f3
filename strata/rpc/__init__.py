"""Messages between workers: interfaces that say what may be asked, and buses that carry it.

::

    Compute(bus).build(context, host='node1', server_id=id)
        |  interface.py   checks the arguments
        v
    Bus.cast / Bus.call   bus.py: faults by injection, answers, errors
        |
        +-- LocalBus      local.py: queues of one process
        +-- AmqpBus       amqp.py: RabbitMQ
        v
    Worker                worker.py: a greenlet a message, the context rebuilt
        v
    manager.build(context, server_id=id)

A message is only a wake-up: it may be lost, come twice or out of order.  What
is to be done stands in the database.
"""

from strata.rpc.bus import Bus, connect
from strata.rpc.faults import Faults
from strata.rpc.interface import Interface, Verb, call, cast, serves
from strata.rpc.local import LocalBus

__all__ = ['Bus', 'Faults', 'Interface', 'LocalBus', 'Verb', 'call', 'cast', 'connect', 'serves']
