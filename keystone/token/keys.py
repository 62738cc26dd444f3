"""A key repository: numbered Fernet keys in a directory.

::

    0        the staged key: known to all nodes, not yet used to encrypt
    highest  the primary key: encrypts
    others   older primaries: still decrypt

A rotation makes the staged key the primary and stages a new one, so a node
that has not got the new files yet can still read what the others write.
"""

import contextlib
import logging
import os
import stat
import tempfile
import time

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from strata import errors

LOG = logging.getLogger(__name__)
#: seconds between two looks at the directory
LOOK = 2.0
STAGED = 0


class Keys:
    """The keys of one repository, read again when the directory changes."""

    def __init__(self, path: str, max_active: int = 3) -> None:
        self.path, self.max_active = path, max_active
        self._fernets: MultiFernet | None = None
        self._stamp: tuple[int, ...] = ()
        self._looked = 0.0

    def encrypt(self, data: bytes) -> bytes:
        """``data`` under the primary key; ``errors.Unavailable`` without keys."""
        return self._current().encrypt(data)

    def decrypt(self, sealed: bytes) -> bytes:
        """What any of the keys opens; ``errors.Invalid`` if none does."""
        try:
            return self._current().decrypt(sealed)
        except InvalidToken:
            pass
        try:
            return self._current(anew=True).decrypt(sealed)
        except InvalidToken as error:
            raise errors.Invalid('No key opens this.') from error

    def _current(self, *, anew: bool = False) -> MultiFernet:
        now = time.monotonic()
        if self._fernets is None or anew or now - self._looked > LOOK:
            self._looked = now
            self._reload()
        if self._fernets is None:
            raise errors.Unavailable(service=f'The key repository {self.path}')
        return self._fernets

    def _reload(self) -> None:
        try:
            found = os.stat(self.path)
        except OSError:
            self._fernets, self._stamp = None, ()
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._stamp:
            return
        if found.st_mode & (stat.S_IROTH | stat.S_IXOTH):
            LOG.warning('The key repository %s can be read by everybody', self.path)
        numbered = self._files()
        order = sorted(numbered, reverse=True)      # the primary first, the staged one last
        try:
            keys = [Fernet(_read(numbered[number])) for number in order]
        except FileNotFoundError:
            return      # a rotation is under way: the keys we know will do until the next look
        self._fernets, self._stamp = MultiFernet(keys) if keys else None, stamp

    def _files(self) -> dict[int, str]:
        return {int(name): os.path.join(self.path, name)
                for name in os.listdir(self.path) if name.isdecimal()} if os.path.isdir(self.path) else {}

    def exists(self) -> bool:
        """Whether there is any key."""
        return bool(self._files())

    def setup(self, owner: tuple[int, int] | None = None) -> bool:
        """Make the directory and its first two keys; whether there was anything to do.

        ``owner``: the user and group id that the files are given to.
        """
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        os.chmod(self.path, 0o700)
        if owner:
            os.chown(self.path, *owner)
        if self._files():
            return False
        self._write(STAGED, owner)
        self._promote(owner)
        return True

    def rotate(self, owner: tuple[int, int] | None = None) -> None:
        """Make the staged key the primary, stage a new one, drop the oldest beyond ``max_active``."""
        if STAGED not in self._files():
            raise errors.Invalid('{path} has no staged key; set the repository up first.', path=self.path)
        self._promote(owner)
        numbered = self._files()
        active = sorted(number for number in numbered if number != STAGED)
        for number in active[:max(0, len(numbered) - self.max_active)]:
            os.unlink(numbered[number])

    def _promote(self, owner: tuple[int, int] | None) -> None:
        numbered = self._files()
        os.rename(numbered[STAGED], os.path.join(self.path, str(max(numbered) + 1)))
        self._write(STAGED, owner)

    def _write(self, number: int, owner: tuple[int, int] | None) -> None:
        handle, name = tempfile.mkstemp(dir=self.path, prefix='.new-')      # mode 0600
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            if owner:
                os.chown(name, *owner)
            os.rename(name, os.path.join(self.path, str(number)))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


def _read(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read().strip()
