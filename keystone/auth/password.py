"""Method ``password``: a user, named by id or by name and domain, and their password."""

import datetime

from keystone.auth import Given, Proof
from keystone.db import users
from keystone.identity import passwords, who
from keystone.wiring import Wiring
from strata import errors
from strata.context import Context
from strata.db import retried


def authenticate(wiring: Wiring, given: Given, context: Context | None, *,
                 expired_too: bool = False) -> Proof:
    """The user whose password it is.

    An unknown, disabled or locked-out user takes as long and is told the same
    as a wrong password.  ``expired_too`` admits a password that has expired
    (to have it changed).
    """
    said = given['user']
    password = said['password']
    if len(password) > wiring.conf.identity.max_password_length:
        raise errors.Unauthorized()
    user = who.find(wiring, said)
    locked = user is not None and _locked(wiring, user.id)
    right = passwords.matches(wiring, user, password)
    if user is None or locked:
        raise errors.Unauthorized()
    if not right:
        _failed(wiring, user)
        raise errors.Unauthorized()
    if not user.enabled:
        raise errors.Unauthorized()
    _forgive(wiring, user.id)
    passwords.renew(wiring, user, password)
    if not expired_too and _expired(wiring, user):
        raise errors.Unauthorized('The password is expired and needs to be changed for user: {id}.',
                                  id=user.id)
    return Proof(user.id)


def _expired(wiring: Wiring, user: users.User) -> bool:
    if user.options.get('ignore_password_expiry'):
        return False
    return user.password_expires_at is not None and user.password_expires_at <= wiring.clock.now()


def _since(wiring: Wiring) -> datetime.datetime:
    return wiring.clock.now() - datetime.timedelta(seconds=wiring.conf.security_compliance.lockout_duration)


def _locked(wiring: Wiring, user_id: str) -> bool:
    most = wiring.conf.security_compliance.lockout_failure_attempts
    if not most:
        return False
    with wiring.db.reading() as tx:
        user = users.get(tx, user_id)
    if user is None or user.options.get('ignore_lockout_failure_attempts'):
        return False
    return user.failures >= most and user.failed_at is not None and user.failed_at > _since(wiring)


@retried
def _failed(wiring: Wiring, user: users.User) -> None:
    if wiring.conf.security_compliance.lockout_failure_attempts:
        with wiring.db.transaction() as tx:
            users.record_failure(tx, user.id, wiring.clock.now(), _since(wiring))


@retried
def _forgive(wiring: Wiring, user_id: str) -> None:
    if not wiring.conf.security_compliance.lockout_failure_attempts:
        return
    with wiring.db.reading() as tx:
        user = users.get(tx, user_id)
    if user is not None and user.failures:
        with wiring.db.transaction() as tx:
            users.forget_failures(tx, user_id)
