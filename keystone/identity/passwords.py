"""Passwords and secrets: hashed with argon2id, verified in constant time.

A client that logs in at every command would cost an argon2 run each time, so
a right secret is remembered for a while: as an HMAC under a key that this
process made up and never stores, bound to the stored hash, so a changed
password is forgotten by itself.
"""

import datetime
import hashlib
import hmac
import secrets

from keystone.db import users
from keystone.wiring import Wiring
from strata import crypt, errors
from strata.cache import Cache
from strata.db import retried

#: seconds that a verified secret is remembered, and how many are
REMEMBER, MOST = 300.0, 4096
_KEY = secrets.token_bytes(32)


def matches(wiring: Wiring, user: users.User | None, password: str) -> bool:
    """Whether it is the user's password; as slow for nobody as for somebody."""
    return matches_hash(wiring, user and user.id, user and user.password, password)


def matches_hash(wiring: Wiring, id: str | None, stored: str | None, secret: str) -> bool:
    """Whether ``secret`` is what ``stored`` was made of; ``id`` names its owner."""
    if id is None or stored is None:
        return crypt.verify_password(None, secret, _cost(wiring))
    known: Cache[bool] = wiring.memory.lasting.setdefault('secrets', Cache(MOST, REMEMBER))
    mark = hmac.digest(_KEY, '\0'.join((id, stored, secret)).encode('utf-8', 'surrogatepass'), hashlib.sha256)
    if known.get(mark):
        return True
    if not crypt.verify_password(stored, secret):
        return False
    known.set(mark, True)
    return True


@retried
def renew(wiring: Wiring, user: users.User, password: str) -> None:
    """Hash the user's right password anew if what is stored was made at another cost than today's."""
    if user.password is None or not crypt.outdated(user.password, _cost(wiring)):
        return
    renewed = crypt.hash_password(password, _cost(wiring))
    with wiring.changing() as tx:
        users.renew_hash(tx, user.id, user.password, renewed)


def hashed(wiring: Wiring, password: str) -> str:
    """What is stored of a new password; ``errors.Invalid`` if it is too long or empty.

    Takes a while: call it outside of transactions.
    """
    most = wiring.conf.identity.max_password_length
    if not password:
        raise errors.Invalid('A password must not be empty.')
    if len(password) > most:
        raise errors.Invalid('Password length must be less than or equal to {most}. The password is longer.',
                             most=most)
    return crypt.hash_password(password, _cost(wiring))


def _cost(wiring: Wiring) -> crypt.Cost:
    options = wiring.conf.identity
    return crypt.Cost(options.password_hash_memory, options.password_hash_passes)


def put(wiring: Wiring, user: users.User, stored: str | None) -> None:
    """Give a user a new password hash, and the times that go with it."""
    now = wiring.clock.now()
    days = wiring.conf.security_compliance.password_expires_days
    user.password, user.password_changed_at = stored, now
    user.password_expires_at = now + datetime.timedelta(days=days) if days and stored else None
    user.failures, user.failed_at = 0, None
