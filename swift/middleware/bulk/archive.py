"""Reading a tar archive as it arrives, without letting it take more memory or time than it should.

Headers of an archive (long names, pax records) are read into memory, so they
are bounded; sparse files are refused, their maps can be of any length; and what
comes out of a compressed archive is bounded by what went in.
"""

import bz2
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

#: bytes of a long name or of the pax records of one member
MAX_HEADER = 1024 * 1024
#: a compressed archive may grow to this many bytes whatever it is
FREE = 1024 ** 3
#: and beyond that by this factor
MAX_GROWTH = 200
CHUNK = 65536
KINDS = ('tar', 'tar.gz', 'tar.bz2')
#: pax records of extended attributes, as GNU tar and libarchive write them
XATTRS = ('SCHILY.xattr.user.', 'LIBARCHIVE.xattr.user.')


class BadArchive(Exception):
    """It is no archive, or one that we do not take."""


class Member(tarfile.TarInfo):
    """A member whose headers are of sane length."""

    def _proc_gnulong(self, archive: Any) -> Any:
        self._bound()
        return super()._proc_gnulong(archive)     # type: ignore[misc]

    def _proc_pax(self, archive: Any) -> Any:
        self._bound()
        return super()._proc_pax(archive)     # type: ignore[misc]

    def _bound(self) -> None:
        if self.size > MAX_HEADER:
            raise BadArchive('a header is too long')

    def _refuse(self, *_: Any) -> Any:
        raise BadArchive('sparse files are not supported')

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse


class _Expanded:
    """What a compressed stream holds."""

    def __init__(self, source: Any, make: Callable[[], Any], name: str) -> None:
        self._source = source
        self._make = make
        self._name = name
        self._engine = make()
        self._rest = b''
        self._taken = self._given = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end only."""
        pieces, left = [], size
        while left:
            piece = self._piece(left)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        self._given += size - left
        if self._given > FREE and self._given > MAX_GROWTH * self._taken:
            raise BadArchive('it grows too much')
        return b''.join(pieces)

    def _piece(self, size: int) -> bytes:
        while True:
            if self._engine.eof:
                self._rest = self._engine.unused_data
                if not self._rest:
                    self._rest = self._more()
                if not self._rest.strip(b'\0'):
                    return b''
                self._engine = self._make()
            if not self._rest and not self._pending():
                self._rest = self._more()
                if not self._rest:
                    return b''
            try:
                piece = self._engine.decompress(self._rest, size)
            except (zlib.error, OSError, ValueError) as error:
                raise BadArchive(f'not a {self._name} file') from error
            self._rest = getattr(self._engine, 'unconsumed_tail', b'')
            if piece:
                return bytes(piece)

    def _pending(self) -> bool:
        """Whether the engine can give more without being given more."""
        return not getattr(self._engine, 'needs_input', True)

    def _more(self) -> bytes:
        piece = b'' if self._ended else self._source.read(CHUNK)
        self._ended = not piece
        self._taken += len(piece)
        return bytes(piece)


def _gzip() -> Any:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def members(source: Any, kind: str) -> Iterator[tuple[Member, Any]]:
    """Regular files of an archive of one of ``KINDS``, each with a stream of its data; raises ``BadArchive``."""
    stream = source
    if kind == 'tar.gz':
        stream = _Expanded(source, _gzip, 'gzip')
    elif kind == 'tar.bz2':
        stream = _Expanded(source, bz2.BZ2Decompressor, 'bzip2')
    try:
        with tarfile.open(fileobj=stream, mode='r|', tarinfo=Member) as archive:
            while True:
                member = archive.next()
                if member is None:
                    return
                archive.members = []    # type: ignore[attr-defined]
                if member.isreg():
                    yield member, archive.extractfile(member)     # type: ignore[misc]
    except (tarfile.TarError, EOFError, UnicodeError, OverflowError, ValueError, RecursionError) as error:
        raise BadArchive(str(error)) from error


def attributes(member: Member) -> dict[str, str]:
    """Headers from the extended attributes of a file: its type, and ``user.meta.*``; as WSGI strings."""
    found = {}
    for name, value in (member.pax_headers or {}).items():
        for prefix in XATTRS:
            if name.startswith(prefix):
                name = name.removeprefix(prefix)
                text = value.encode('utf-8', 'surrogateescape').decode('latin-1')
                if name == 'mime_type' and 'swift_' not in text.lower():    # a parameter of the cluster's own
                    found['Content-Type'] = text
                elif name.startswith('meta.') and len(name) > 5:
                    found['X-Object-Meta-' + name[5:]] = text
    return {name: value for name, value in found.items()
            if name.isascii() and name.isprintable() and not any(each in value for each in '\r\n\0')}
