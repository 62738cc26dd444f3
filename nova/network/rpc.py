"""What nova-network workers can be asked, and how the API wakes them."""

from collections.abc import Collection

from nova.wiring import Wiring
from strata.context import Context
from strata.rpc import Interface, call, cast


class Network(Interface):
    """The verbs a nova-network worker obeys.

    ``plug`` makes a server's ports ready on the worker's host and answers with their devices;
    ``refresh`` says that some networks, routers or security groups look different now.
    """

    topic = 'network'

    plug = call('server_id', timeout=60)
    refresh = cast('networks', 'routers', 'groups', 'plugging')


def wake(wiring: Wiring, context: Context, *, networks: Collection[str] = (), routers: Collection[str] = (),
         groups: Collection[str] = (), plugging: str | None = None) -> None:
    """Tell all hosts what changed; after the commit, never inside a transaction.

    ``plugging`` names the host whose worker is asked to plug a server on these networks next.

    Only a hint: hosts compare themselves with the database every minute anyway.
    """
    if wiring.bus is not None and (networks or routers or groups):
        Network(wiring.bus).refresh(context, fanout=True, networks=sorted(networks), routers=sorted(routers),
                                    groups=sorted(groups), plugging=plugging)
