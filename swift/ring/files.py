"""Ring files and builder files, as Swift 2.38 reads and writes them.

A ring file is gzip around one of two formats.  Numbers outside the device
table are big-endian::

    v1   R1NG  u16 1  u32 length  JSON  row row ...        ids of two bytes, in "byteorder"
    v2   R1NG  u16 2  section section ... index  u64 raw offset of the index  u64 offset in the file

where a section is ``u64 length`` and its bytes, and the index is a section of
JSON that names the others: ``{name: [file start, raw start, file end, raw end,
checksum method, checksum]}``.  Every section but the last trailer begins at a
point from which decompression may start.

A builder file is a pickle of one dict; only arrays of numbers may stand in it
beside plain values.
"""

import array
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import sys
import tempfile
import zlib
from typing import Any

from swift.ring.errors import FileError

MAGIC = b'R1NG'
#: gzip keeps a time, and equal rings shall be equal files
MTIME = 1300507380
CODES = {1: 'B', 2: 'H', 4: 'I'}
DEVICE_KEYS = ('device', 'id', 'ip', 'meta', 'port', 'region', 'replication_ip', 'replication_port',
               'weight', 'zone')
METADATA, DEVICES, ASSIGNMENTS = (f'swift/ring/{name}' for name in ('metadata', 'devices', 'assignments'))
#: a ring of 2**32 partitions would be larger; none that fits into memory is
MAX_RAW = 1 << 32
#: empty blocks of a deflate stream: where a reader may begin, and where it ends
FLUSH, END = b'\0\0\0\xff\xff', b'\1\0\0\xff\xff'


@dataclasses.dataclass
class RingData:
    """What a ring file says; ``rows`` has one array of device ids per replica, the last may be short."""

    devs: list[dict[str, Any] | None]
    part_shift: int
    rows: list[array.array]
    version: int | None = None
    next_part_power: int | None = None
    id_bytes: int = 2
    format_version: int = 1
    size: int = 0

    @property
    def replicas(self) -> float:
        """Replicas of a partition, a fraction where the last row is short."""
        if not self.rows:
            return 0.0
        return len(self.rows) - 1 + len(self.rows[-1]) / len(self.rows[0])


def read_ring(path: str) -> RingData:
    """The ring in a file; raises ``FileError`` for anything but a whole ring."""
    try:
        with gzip.open(path, 'rb') as file:
            raw = file.read(MAX_RAW)
        size = os.path.getsize(path)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f'Unable to read {path}: {error}') from error
    try:
        if raw[:4] != MAGIC:
            raise FileError(f'{path} is not a ring file')
        version = struct.unpack_from('>H', raw, 4)[0]
        if version not in (1, 2):
            raise FileError(f'Unknown ring format version {version} of {path}')
        data = (parse_v1 if version == 1 else parse_v2)(raw)
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise FileError(f'{path} is damaged: {error}') from error
    data.size = size
    return data


def parse_v1(raw: bytes) -> RingData:
    """A ring of format 1, without its gzip."""
    length, = struct.unpack_from('>I', raw, 6)
    table = json.loads(raw[10:10 + length])
    parts = 1 << (32 - table['part_shift'])
    rows = split_rows(raw[10 + length:], 2, parts, table.get('byteorder', sys.byteorder))
    if len(rows) != table['replica_count']:
        raise ValueError(f'{len(rows)} of {table["replica_count"]} replicas')
    return RingData(complete(table['devs']), table['part_shift'], rows, table.get('version'),
                    table.get('next_part_power'))


def parse_v2(raw: bytes) -> RingData:
    """A ring of format 2, without its gzip; every section is checked against its checksum."""
    start, _ = struct.unpack('>QQ', raw[-16:])
    index = json.loads(section(raw, start))

    def part(name):
        _, begin, _, end, method, digest = index[name]
        if method is not None and hashlib.new(method, raw[begin:end]).hexdigest() != digest:
            raise ValueError(f'checksum of {name}')
        return section(raw, begin)
    table = json.loads(part(METADATA))
    id_bytes = table['dev_id_bytes']
    rows = split_rows(part(ASSIGNMENTS), id_bytes, 1 << (32 - table['part_shift']), 'big')
    return RingData(complete(json.loads(part(DEVICES))), table['part_shift'], rows, table.get('version'),
                    table.get('next_part_power'), id_bytes, 2)


def section(raw: bytes, start: int) -> bytes:
    """The bytes of the section that begins at ``start``."""
    length, = struct.unpack_from('>Q', raw, start)
    found = raw[start + 8:start + 8 + length]
    if len(found) != length:
        raise ValueError('cut short')
    return found


def split_rows(raw: bytes, id_bytes: int, parts: int, order: str) -> list[array.array]:
    """One array per replica, in the byte order of this machine."""
    rows = []
    for start in range(0, len(raw), parts * id_bytes):
        row = array.array(CODES[id_bytes], raw[start:start + parts * id_bytes])
        if order != sys.byteorder:
            row.byteswap()
        rows.append(row)
    return rows


def complete(devs: list[dict | None]) -> list[dict[str, Any] | None]:
    """Devices of old rings know no region and no replication address."""
    for dev in devs:
        if dev is not None:
            dev.setdefault('region', 1)
            dev.setdefault('meta', '')
            dev.setdefault('replication_ip', dev['ip'])
            dev.setdefault('replication_port', dev['port'])
    return devs


def plain(devs: list[dict | None]) -> list[dict | None]:
    """Devices as ring files show them: without the builder's book-keeping."""
    return [dev and {key: dev[key] for key in DEVICE_KEYS if key in dev} for dev in devs]


def encoded(value: Any) -> bytes:
    """JSON with sorted keys, so that equal rings are equal files."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True).encode('ascii')


def table_of(data: RingData, **more: Any) -> dict[str, Any]:
    """The facts that both formats keep, absent ones left out."""
    known = {'part_shift': data.part_shift, 'version': data.version, 'next_part_power': data.next_part_power}
    return {key: value for key, value in {**known, **more}.items() if value is not None}


def render_v1(data: RingData) -> bytes:
    """A ring file of format 1; raises ``FileError`` when its device ids need more than two bytes."""
    if len(data.devs) > 0xffff:
        raise FileError('Too many devices for ring format version 1')
    table = encoded(table_of(data, byteorder=sys.byteorder, devs=plain(data.devs),
                             replica_count=len(data.rows)))
    raw = [MAGIC, struct.pack('>HI', 1, len(table)), table]
    raw += [array.array('H', row).tobytes() for row in data.rows]
    packed = io.BytesIO()
    with gzip.GzipFile('', 'wb', fileobj=packed, mtime=MTIME) as file:
        file.writelines(raw)
    return packed.getvalue()


def render_v2(data: RingData) -> bytes:
    """A ring file of format 2, with a fresh start of the compressor before every section.

    The two offsets at the end are stored, not deflated, so that they stand at
    a known distance from the end of the file.
    """
    raw, packed = bytearray(MAGIC + struct.pack('>H', 2)), bytearray(gzip_header())
    packed += stored(bytes(raw)) + FLUSH
    index = {}

    def put(content):
        framed = struct.pack('>Q', len(content)) + content
        begin = len(packed), len(raw)
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed.extend(packer.compress(framed) + packer.flush(zlib.Z_FULL_FLUSH))
        raw.extend(framed)
        return [*begin, len(packed), len(raw), 'sha256', hashlib.sha256(framed).hexdigest()]
    index[METADATA] = put(encoded(table_of(data, dev_id_bytes=data.id_bytes, replica_count=data.replicas)))
    index[DEVICES] = put(encoded(plain(data.devs)))
    index[ASSIGNMENTS] = put(b''.join(big_endian(row, data.id_bytes) for row in data.rows))
    at_file, at_raw, *_ = put(encoded(index))
    for offset in (at_raw, at_file):
        raw += struct.pack('>Q', offset)
        packed += stored(struct.pack('>Q', offset)) + FLUSH
    packed += END + struct.pack('<II', zlib.crc32(raw), len(raw) & 0xffffffff)
    return bytes(packed)


def gzip_header() -> bytes:
    """Without a name, for equal rings shall be equal files."""
    return struct.pack('<4sIBB', b'\x1f\x8b\x08\x00', MTIME, 2, 255)


def stored(content: bytes) -> bytes:
    """A block of a deflate stream that is not compressed, where the stream stands at a whole byte."""
    return struct.pack('<BHH', 0, len(content), len(content) ^ 0xffff) + content


def big_endian(row: array.array, id_bytes: int) -> bytes:
    """A row's ids as format 2 writes them."""
    copied = array.array(CODES[id_bytes], row)
    if sys.byteorder == 'little':
        copied.byteswap()
    return copied.tobytes()


def write_ring(path: str, data: RingData, format_version: int = 1) -> None:
    """Replace a ring file at once: a reader sees the old one or the new one."""
    replace(path, render_v1(data) if format_version == 1 else render_v2(data))


def replace(path: str, content: bytes) -> None:
    """Write a file beside, then rename it; the content and the name are on disk before it returns."""
    folder = os.path.dirname(os.path.abspath(path))
    descriptor, name = tempfile.mkstemp(dir=folder, prefix='.' + os.path.basename(path))
    try:
        with os.fdopen(descriptor, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Unpickler(pickle.Unpickler):
    """Reads plain values and arrays of numbers; a pickle that names anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """The one class that a builder file needs, under the names it has had."""
        if (module, name) == ('array', 'array'):
            return array.array
        if (module, name) == ('array', '_array_reconstructor'):
            return array._array_reconstructor                   # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f'{module}.{name} has no place in a builder file')


def read_builder(path: str) -> dict[str, Any]:
    """The dict in a builder file; raises ``FileError``."""
    if not os.path.exists(path):
        raise FileError(f'Ring Builder file does not exist: {path}')
    try:
        with open(path, 'rb') as file:
            state = Unpickler(file).load()
    except OSError as error:
        raise FileError(f'Ring Builder file can not be accessed: {path}: {error.strerror}') from error
    except Exception as error:      # a damaged pickle may raise anything
        raise FileError(f'Ring Builder file is invalid: {path}') from error
    if not isinstance(state, dict) or 'part_power' not in state or 'devs' not in state:
        raise FileError(f'Ring Builder file is invalid: {path}')
    return state


def write_builder(path: str, state: dict[str, Any]) -> None:
    """Replace a builder file at once."""
    replace(path, pickle.dumps(state, protocol=2))
