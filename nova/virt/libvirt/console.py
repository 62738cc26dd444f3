"""What a guest wrote to its serial port.

virtlogd writes the log, as root, and turns it over when it grows.  The first
file was made by us and stays readable; one made after a turn is root's alone,
and is read through libvirt then, from a storage pool that exists for the
moment and holds nothing but the log.
"""

import contextlib
import os

import libvirt

from nova.virt.libvirt.connection import Connection, Refused
from nova.virt.libvirt.domain import Folder
from nova.virt.libvirt.xml import el, text
from strata import green

#: how often virtlogd is believed to turn a log over by default: two old files are kept beside the newest
OLDER = ('', '.0', '.1')

#: two pools over one folder are refused by libvirt
_ONE_AT_A_TIME = green.Lock()


def prepare(folder: Folder) -> None:
    """Make the log, so that it is ours to read."""
    os.makedirs(os.path.dirname(folder.console), mode=0o755, exist_ok=True)
    with open(folder.console, 'ab'):
        pass


def tail(connection: Connection, folder: Folder, limit: int) -> bytes:
    """The last ``limit`` bytes, from the newest file back."""
    found = b''
    for suffix in OLDER:
        if len(found) >= limit:
            break
        path = folder.console + suffix
        try:
            found = _read(path, limit - len(found)) + found
        except FileNotFoundError:
            break
        except PermissionError:
            found = _read_as_libvirt(connection, path, limit - len(found)) + found
    return found


def _read(path: str, limit: int) -> bytes:
    with open(path, 'rb') as file:
        file.seek(max(os.fstat(file.fileno()).st_size - limit, 0))
        return file.read(limit)


def _read_as_libvirt(connection: Connection, path: str, limit: int) -> bytes:
    place, name = os.path.split(path)
    with _ONE_AT_A_TIME:
        pool = _pool(connection, place)
        try:
            volume = connection.call(pool.storageVolLookupByName, name)
            size = connection.call(volume.info)[1]
            length = min(size, limit)
            return _download(connection, volume, size - length, length) if length else b''
        finally:
            with contextlib.suppress(Refused):
                connection.call(pool.destroy)


def _pool(connection: Connection, place: str) -> libvirt.virStoragePool:
    name = 'console-' + os.path.basename(os.path.dirname(place))
    with contextlib.suppress(Refused):      # of a worker that was killed
        connection.call(connection.ask('storagePoolLookupByName', name).destroy)
    return connection.ask('storagePoolCreateXML', text(el(
        'pool', el('name', name), el('target', el('path', place)), type_='dir')), 0)


def _download(connection: Connection, volume: libvirt.virStorageVol, offset: int, length: int) -> bytes:
    stream = connection.ask('newStream', 0)
    connection.call(volume.download, stream, offset, length, 0)
    found = []
    while chunk := connection.call(stream.recv, 65536):
        found.append(chunk)
    connection.call(stream.finish)
    return b''.join(found)
