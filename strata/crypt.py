"""Secrets: comparing, hashing and making them."""

import hmac
import os
import secrets

import argon2

from strata import green

# OWASP's figures for argon2id: 19 MiB, two passes, one lane; about 30 ms of one core
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=argon2.Type.ID)
#: more at once would not be faster, only larger
_CORES = green.Semaphore(max(1, os.cpu_count() or 1))
#: what a password is compared with if there is no account, so that the answer takes as long
_NOBODY = _HASHER.hash(secrets.token_bytes(16))


def equal(left: str | bytes, right: str | bytes) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(left), _bytes(right))


def _bytes(value: str | bytes) -> bytes:
    return value.encode('utf-8', 'surrogatepass') if isinstance(value, str) else value


def hash_password(password: str) -> str:
    """The argon2id hash in its usual text form, parameters and salt included."""
    with _CORES:
        return green.native(_HASHER.hash, _bytes(password))


def verify_password(hashed: str | None, password: str) -> bool:
    """Whether the password is the one; ``None`` (no such account) takes as long and is false."""
    with _CORES:
        right = green.native(_verify, hashed or _NOBODY, _bytes(password))
    return right and hashed is not None


def _verify(hashed: str, password: bytes) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def outdated(hashed: str) -> bool:
    """Whether a hash has weaker parameters than today's, so should be made anew at the next login."""
    try:
        return _HASHER.check_needs_rehash(hashed)
    except argon2.exceptions.InvalidHashError:
        return True


def random_token(size: int = 32) -> str:
    """An unguessable text of ``size`` random bytes, safe in URLs and headers."""
    return secrets.token_urlsafe(size)
