"""Metadata and tags of a server: many clients may change them at once, and none undoes another's change."""

from collections.abc import Callable, Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.compute import verbs
from nova.db import server_lists, servers
from nova.db.servers import Server, ServerTag
from nova.wiring import Wiring
from strata import errors
from strata.context import Context
from strata.db import Duplicate, retried

MOST_TAGS = 50
#: vm_states in which metadata may change
_SETTLED = frozenset({verbs.ACTIVE, verbs.PAUSED, verbs.SUSPENDED, verbs.STOPPED, verbs.RESCUED})
_ATTEMPTS = 10

Change = Callable[[dict[str, str]], dict[str, str]]


def change(wiring: Wiring, context: Context, id: str, change: Change) -> dict[str, str]:
    """Replace a server's metadata by ``change`` of it, by compare-and-swap; returns the outcome.

    Raises what ``change`` raises, ``OverQuota`` for too many items, ``Conflict``
    if the server is locked or not settled.
    """
    def attempt() -> dict[str, str]:
        with wiring.db.transaction() as tx:
            server = servers.get(tx, context, id)
            _refuse(context, server)
            before = dict(server.meta)
            after = change(dict(before))
            limit = wiring.conf.quota.metadata_items
            if 0 <= limit < len(after):
                raise errors.OverQuota('Maximum number of metadata items exceeds {limit}', limit=limit)
            if after != before:
                servers.swap(tx, server, expect={'meta': before}, meta=after)
            return after
    for _ in range(_ATTEMPTS):
        try:
            return wiring.db.retried(attempt)
        except errors.Busy:
            continue      # somebody else was first: theirs is the metadata to change now
    raise errors.Busy(kind='Instance', id=id)


def _refuse(context: Context, server: Server) -> None:
    if server.locked_by and not context.is_admin:
        raise errors.Conflict('Instance {id} is locked', id=server.id)
    if server.vm_state not in _SETTLED:
        raise errors.Conflict("Cannot 'update metadata' instance {id} while it is in vm_state {state}",
                              id=server.id, state=server.vm_state)


def tags(wiring: Wiring, context: Context, id: str) -> list[str]:
    """A server's tags, sorted."""
    with wiring.db.reading() as tx:
        servers.get(tx, context, id)
        return servers.tags_of(tx, [id]).get(id, [])


@retried
def replace_tags(wiring: Wiring, context: Context, id: str, wanted: Collection[str]) -> list[str]:
    """Make these the server's tags."""
    with wiring.db.transaction() as tx:
        _taggable(tx, context, id)
        tx.execute(sa.delete(ServerTag).where(ServerTag.server_id == id))
        tx.add_all(ServerTag(server_id=id, tag=tag) for tag in dict.fromkeys(wanted))
        tx.flush()
        return servers.tags_of(tx, [id]).get(id, [])


@retried
def add_tag(wiring: Wiring, context: Context, id: str, tag: str) -> bool:
    """Add one tag; ``False`` if it was there already."""
    try:
        with wiring.db.transaction() as tx:
            _taggable(tx, context, id)
            if tag in servers.tags_of(tx, [id]).get(id, []):
                return False
            if server_lists.count_tags(tx, id) >= MOST_TAGS:
                raise errors.Invalid('The number of tags exceeded the per-server limit {most}',
                                     most=MOST_TAGS)
            tx.add(ServerTag(server_id=id, tag=tag))
    except Duplicate:
        return False
    return True


@retried
def remove_tag(wiring: Wiring, context: Context, id: str, tag: str) -> None:
    """Remove one tag; ``errors.NotFound`` if the server has not got it."""
    with wiring.db.transaction() as tx:
        _taggable(tx, context, id)
        gone = tx.execute(sa.delete(ServerTag).where(ServerTag.server_id == id, ServerTag.tag == tag))
        if not gone.rowcount:      # type: ignore[attr-defined]
            raise errors.NotFound("Server {id} has no tag '{tag}'", id=id, tag=tag)


def _taggable(tx: Session, context: Context, id: str) -> Server:
    server = servers.get(tx, context, id)
    if server.vm_state not in _SETTLED:
        raise errors.Conflict("Cannot 'tag' instance {id} while it is in vm_state {state}",
                              id=id, state=server.vm_state)
    return server


def merged(new: Mapping[str, str]) -> Change:
    """The change that adds items, over those of the same key."""
    return lambda old: {**old, **new}


def replaced(new: Mapping[str, str]) -> Change:
    """The change that leaves nothing of the old."""
    return lambda old: dict(new)


def without(key: str) -> Change:
    """The change that removes one item, which must be there."""
    def change(old: dict[str, str]) -> dict[str, str]:
        if key not in old:
            raise errors.NotFound('Metadata item was not found')
        del old[key]
        return old
    return change
