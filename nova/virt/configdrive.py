"""The config drive: a guest's metadata as a small ISO 9660 disk labelled ``config-2``.

Written by xorriso, which is maintained (genisoimage has had no release since
2010) and, like it, needs neither root nor a mount.  Rock Ridge and Joliet keep
the file names as they are.
"""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping

from strata import errors, shell

LABEL = 'config-2'

#: bytes; metadata is kilobytes and user data at most 64 KiB, files to inject a little more
LARGEST = 64 << 20


def build(files: Mapping[str, bytes], path: str) -> str:
    """Write the drive with ``files`` (relative path -> content) to ``path``; returns ``path``.

    It appears there whole or not at all, readable by its owner only.  Raises
    ``errors.Invalid`` for a file name that leads out of the drive, and
    ``errors.Unavailable`` if xorriso is not installed.
    """
    if sum(map(len, files.values())) > LARGEST:
        raise errors.Invalid(f'The config drive would be larger than {LARGEST} bytes.')
    with tempfile.TemporaryDirectory(prefix='.drive.', dir=os.path.dirname(path) or '.') as scratch:
        tree = pathlib.Path(scratch) / 'tree'
        tree.mkdir()
        for name, content in files.items():
            _put(tree, name, content)
        drive = pathlib.Path(scratch) / 'drive.iso'
        if shutil.which('xorriso') is None:
            raise errors.Unavailable('Config drives need xorriso; remedy: apt-get install xorriso.')
        shell.run(['xorriso', '-as', 'mkisofs', '-quiet', '-V', LABEL, '-J', '-joliet-long', '-r',
                   '-o', str(drive), str(tree)], timeout=60)
        drive.chmod(0o600)
        os.replace(drive, path)
    return path


def tidy(folder: str) -> None:
    """Remove what writers that were killed left in a folder of drives; nobody may be writing there."""
    for scratch in pathlib.Path(folder).glob('.drive.*'):
        shutil.rmtree(scratch, ignore_errors=True)


def _put(tree: pathlib.Path, name: str, content: bytes) -> None:
    target = tree / name
    if not name or '\0' in name or name.startswith('/') or '..' in target.parts:
        raise errors.Invalid("'{name}' is no name for a file on a config drive.", name=name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
