"""Passwords that guests post for their users, who read them and have them forgotten."""

from nova.db import passwords as db
from nova.db import servers
from nova.wiring import Wiring
from strata.context import Context
from strata.db import retried


def get(wiring: Wiring, context: Context, server_id: str) -> str:
    """The password as the guest encrypted it, or nothing; ``errors.NotFound`` for a server that is not visible."""
    with wiring.db.reading() as tx:
        servers.get(tx, context, server_id)
        return db.get(tx, server_id)


@retried
def put(wiring: Wiring, server_id: str, password: str) -> None:
    """Keep what a guest posted; ``errors.Conflict`` if there is a password already."""
    with wiring.db.transaction() as tx:
        db.put(tx, server_id, password)


@retried
def clear(wiring: Wiring, context: Context, server_id: str) -> None:
    """Forget it; ``errors.NotFound`` for a server that is not visible."""
    with wiring.db.transaction() as tx:
        servers.get(tx, context, server_id)
        db.clear(tx, server_id)
