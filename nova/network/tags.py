"""Tags of network resources: changing them, each change a revision of the resource."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from nova.db import floating_ips, networks, ports, routers, security_groups, subnets, tags
from nova.network import faults
from nova.wiring import Wiring
from strata.context import Context
from strata.db import retried

#: the kinds of resources that have tags, by collection: what one is called, and how it is found
KINDS: dict[str, tuple[str, Callable[[Session, Context, str], Any]]] = {
    'networks': ('network', networks.find), 'subnets': ('subnet', subnets.find), 'ports': ('port', ports.find),
    'routers': ('router', routers.find), 'floatingips': ('floatingip', floating_ips.find),
    'security-groups': ('security_group', security_groups.find)}


def get(tx: Session, context: Context, collection: str, id: str) -> Any:
    """A visible resource with its tags, or ``TagResourceNotFound``."""
    name, find = KINDS[collection]
    row = find(tx, context, id)
    if row is None:
        raise faults.TagResourceNotFound(resource=name, id=id[:80])
    return row


@retried
def replace(wiring: Wiring, context: Context, collection: str, id: str, words: Sequence[str]) -> None:
    """Make these the tags, and none but these."""
    with wiring.db.transaction() as tx:
        get(tx, context, collection, id).revision_number += 1
        tags.replace(tx, id, words)


@retried
def add(wiring: Wiring, context: Context, collection: str, id: str, words: Sequence[str]) -> None:
    """Hang more tags; one that is there already is a success."""
    with wiring.db.transaction() as tx:
        get(tx, context, collection, id).revision_number += 1
        for word in words:
            tags.add(tx, id, word)


@retried
def remove(wiring: Wiring, context: Context, collection: str, id: str, tag: str) -> None:
    """Take one tag away, or raise ``TagNotFound``."""
    with wiring.db.transaction() as tx:
        get(tx, context, collection, id).revision_number += 1
        if not tags.remove(tx, id, tag):
            raise faults.TagNotFound(tag=tag[:80])
