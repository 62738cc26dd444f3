"""Secrets that users keep here: EC2 keys and other credentials, sealed; application credentials, hashed."""

import sqlalchemy as sa

from keystone.db.credentials import Credential
from keystone.wiring import Wiring
from strata.db import retried


def sealed(wiring: Wiring, blob: str) -> str:
    """A blob as it is stored."""
    return wiring.credential_keys.encrypt(blob.encode()).decode()


def opened(wiring: Wiring, row: Credential) -> str:
    """The blob of a stored credential."""
    return wiring.credential_keys.decrypt(row.blob.encode()).decode()


@retried
def seal_again(wiring: Wiring) -> None:
    """Encrypt everything under the primary key, so that older keys may go."""
    with wiring.db.transaction() as tx:
        for row in tx.scalars(sa.select(Credential)):
            row.blob = sealed(wiring, opened(wiring, row))
