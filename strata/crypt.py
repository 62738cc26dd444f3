"""Secrets: comparing, hashing and making them."""

import base64
import dataclasses
import functools
import hmac
import os
import secrets

import argon2

from strata import green

#: more at once would not be faster, only larger
_CORES = green.Semaphore(max(1, os.cpu_count() or 1))


@dataclasses.dataclass(frozen=True)
class Cost:
    """What hashing a password takes, and so what each guess at it does: KiB of memory, and passes over it.

    The defaults are OWASP's figures for argon2id with one lane; about 30 ms of one core.
    """

    memory: int = 19456
    passes: int = 2

    @functools.cached_property
    def hasher(self) -> argon2.PasswordHasher:
        """argon2id at this cost."""
        return argon2.PasswordHasher(time_cost=self.passes, memory_cost=self.memory, parallelism=1,
                                     type=argon2.Type.ID)

    @functools.cached_property
    def nobody(self) -> str:
        """The hash of no password: what one is compared with if there is no account, to take as long."""
        salt, key = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip('=') for size in (16, 32))
        return f'$argon2id$v=19$m={self.memory},t={self.passes},p=1${salt}${key}'


COST = Cost()


def equal(left: str | bytes, right: str | bytes) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(left), _bytes(right))


def _bytes(value: str | bytes) -> bytes:
    return value.encode('utf-8', 'surrogatepass') if isinstance(value, str) else value


def hash_password(password: str, cost: Cost = COST) -> str:
    """The argon2id hash in its usual text form, parameters and salt included."""
    with _CORES:
        return green.native(cost.hasher.hash, _bytes(password))


def verify_password(hashed: str | None, password: str, cost: Cost = COST) -> bool:
    """Whether the password is the one; ``None`` (no such account) takes as long as one of ``cost``, and is false."""
    with _CORES:
        right = green.native(_verify, hashed or cost.nobody, _bytes(password))
    return right and hashed is not None


def _verify(hashed: str, password: bytes) -> bool:
    try:
        return COST.hasher.verify(hashed, password)      # at the cost that stands in the hash
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def outdated(hashed: str, cost: Cost = COST) -> bool:
    """Whether a hash has weaker parameters than today's, so should be made anew at the next login."""
    try:
        return cost.hasher.check_needs_rehash(hashed)
    except argon2.exceptions.InvalidHashError:
        return True


def random_token(size: int = 32) -> str:
    """An unguessable text of ``size`` random bytes, safe in URLs and headers."""
    return secrets.token_urlsafe(size)
