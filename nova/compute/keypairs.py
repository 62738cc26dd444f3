"""Key pairs: imported public keys, and (until 2.91) pairs made here, whose private half is never kept."""

import base64
import datetime
import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from nova.db import keypairs as db
from nova.db import quotas
from nova.db.keypairs import KeyPair
from nova.wiring import Wiring
from strata import errors, green
from strata.context import Context
from strata.db import Duplicate, retried

BITS = 2048
#: the name under which Windows guests look for the user of a certificate
_USER_PRINCIPAL = ObjectIdentifier('1.3.6.1.4.1.311.20.2.3')


def find(wiring: Wiring, context: Context, user_id: str, *, marker: str | None = None,
         limit: int | None = None) -> Sequence[KeyPair]:
    """A page of a user's key pairs."""
    with wiring.db.reading() as tx:
        return db.find(tx, user_id, marker=marker, limit=limit)


def get(wiring: Wiring, context: Context, user_id: str, name: str) -> KeyPair:
    """One key pair of a user."""
    with wiring.db.reading() as tx:
        return db.get(tx, user_id, name)


@retried
def create(wiring: Wiring, context: Context, user_id: str, *, name: str, type: str = 'ssh',
           public_key: str | None = None) -> tuple[KeyPair, str | None]:
    """Import a key, or make a pair and return its private half (PEM) too.

    How many a user may have, in all, is what the caller's project allows.  Raises ``errors.Invalid`` if the key
    cannot be read, ``OverQuota`` and ``Conflict`` as they apply.
    """
    private = None
    if public_key is None:
        make = _make_ssh if type == 'ssh' else _make_x509
        private, public_key = green.native(make, user_id)
    fingerprint = (_ssh_fingerprint if type == 'ssh' else _x509_fingerprint)(public_key)
    pair = KeyPair(user_id=user_id, name=name, type=type, fingerprint=fingerprint, public_key=public_key)
    limits = {db.RESOURCE: wiring.conf.quota.key_pairs}
    try:
        with wiring.db.transaction() as tx:
            if context.project_id:
                limits = quotas.limits(tx, context.project_id, limits)
            db.add(tx, pair, limits[db.RESOURCE])
    except errors.OverQuota as error:
        raise errors.OverQuota('Quota exceeded, too many key pairs.', **error.details) from error
    except Duplicate as error:
        raise errors.Conflict("Key pair '{name}' already exists.", name=name) from error
    return pair, private


@retried
def delete(wiring: Wiring, context: Context, user_id: str, name: str) -> None:
    """Forget a key pair; servers made with it keep the key."""
    with wiring.db.transaction() as tx:
        if not db.remove(tx, user_id, name):
            raise errors.NotFound('Keypair {name} not found for user {user}', name=name, user=user_id)


def _ssh_fingerprint(public_key: str) -> str:
    """The MD5 of an OpenSSH public key in colons, as ``ssh-keygen -l -E md5`` prints it."""
    try:
        serialization.load_ssh_public_key(public_key.strip().encode())
        blob = base64.b64decode(public_key.split()[1])
    except UnsupportedAlgorithm:
        blob = _blob(public_key)      # a kind the library does not know (a security key, say)
    except (ValueError, IndexError) as error:
        raise errors.Invalid('Keypair data is invalid: failed to generate fingerprint') from error
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ':'.join(digest[at:at + 2] for at in range(0, 32, 2))


def _blob(public_key: str) -> bytes:
    words = public_key.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, ValueError) as error:
        raise errors.Invalid('Keypair data is invalid: failed to generate fingerprint') from error
    size = int.from_bytes(blob[:4], 'big')
    if blob[4:4 + size] != words[0].encode() or len(blob) <= 4 + size:
        raise errors.Invalid('Keypair data is invalid: failed to generate fingerprint')
    return blob


def _x509_fingerprint(certificate: str) -> str:
    try:
        digest = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1())      # noqa: S303 -- a name, not a proof
    except ValueError as error:
        raise errors.Invalid('Keypair data is invalid: failed to generate X509 fingerprint') from error
    return ':'.join(f'{byte:02x}' for byte in digest)


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                             serialization.NoEncryption()).decode()


def _make_ssh(user_id: str) -> tuple[str, str]:
    key = rsa.generate_private_key(65537, BITS)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return _pem(key), public.decode() + ' Generated-by-Nova'


def _make_x509(user_id: str) -> tuple[str, str]:
    """A self-signed certificate for client authentication as the user, good for ten years."""
    key = rsa.generate_private_key(65537, BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id[:64])])
    now = datetime.datetime.now(datetime.timezone.utc)
    principal = f'{user_id[:64]}@localhost'.encode()
    other = x509.OtherName(_USER_PRINCIPAL, b'\x0c' + bytes([len(principal)]) + principal)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now)
                   .not_valid_after(now + datetime.timedelta(days=3650))
                   .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
                   .add_extension(x509.SubjectAlternativeName([other]), critical=False)
                   .sign(key, hashes.SHA256()))
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM).decode()
