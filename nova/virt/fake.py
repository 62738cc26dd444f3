"""A hypervisor without machines: real states, kept in memory or in a directory.

With a directory the guests survive a kill -9, and two drivers over one
directory see the same guests::

    <directory>/guests/<id>/guest.json    what it is and its power state; its presence makes the guest
    <directory>/guests/<id>/console.log, disk
    <directory>/orders.json               failures and delays to order, consumed under a lock

Orders may also come from the environment of the process, in ``ORDERS``
below, as JSON: ``{"spawn": {"times": 2, "error": "Unbuildable", "delay": 0.5}}``.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import signal
import struct
import time
from collections.abc import Iterator
from typing import Any

from nova.virt import hardware
from nova.virt.driver import (
    Capacity,
    Driver,
    Guest,
    ImageRef,
    Lifecycle,
    Nic,
    PowerState,
    Unbuildable,
    UnknownGuest,
    Volume,
)
from nova.virt.images import check_fits
from nova.virt.uptime import uptime
from strata import errors, green

#: environment variable with orders for the drivers of a process
ORDERS = 'NOVA_FAKE_ORDERS'

#: what a guest says when it boots
BOOT = (b'[    0.000000] Linux version fake\r\n[    0.000000] Command line: console=ttyS0\r\n'
        b'guest: starting\r\nguest: address by DHCP\r\nguest: ready after 0.00 s\r\n')

RUNNING, PAUSED, SHUTDOWN = PowerState.RUNNING, PowerState.PAUSED, PowerState.SHUTDOWN
CRASHED, SUSPENDED = PowerState.CRASHED, PowerState.SUSPENDED

#: what an order may make a verb raise, by name; 'kill' ends the process as kill -9 does
FAILURES: dict[str, type[errors.Error]] = {
    'Error': errors.Error, 'Unbuildable': Unbuildable, 'Unavailable': errors.Unavailable,
    'Conflict': errors.Conflict, 'Timeout': errors.Timeout, 'UnknownGuest': UnknownGuest,
}


@dataclasses.dataclass
class _Kept:
    """A guest as it is kept: what it is, and what became of it."""

    guest: Guest
    state: PowerState = PowerState.NOSTATE
    started: float = 0.0

    def dump(self) -> dict[str, Any]:
        return {'guest': dataclasses.asdict(self.guest), 'state': int(self.state), 'started': self.started}

    @classmethod
    def load(cls, entry: dict[str, Any]) -> '_Kept':
        values = dict(entry['guest'])
        values['nics'] = tuple(Nic(**nic) for nic in values['nics'])
        values['volumes'] = tuple(Volume(**volume) for volume in values['volumes'])
        values['image'] = ImageRef(**values['image']) if values['image'] else None
        return cls(Guest(**values), PowerState(entry['state']), entry['started'])


class Memory:
    """Guests and orders in dicts."""

    def __init__(self) -> None:
        self._guests: dict[str, dict[str, Any]] = {}
        self._consoles: dict[str, bytes] = {}
        self._orders: dict[str, Any] = {}

    def ids(self) -> list[str]:
        return list(self._guests)

    def get(self, id: str) -> dict[str, Any] | None:
        return self._guests.get(id)

    def put(self, id: str, entry: dict[str, Any]) -> None:
        self._guests[id] = entry

    def remove(self, id: str) -> None:
        self._guests.pop(id, None)
        self._consoles.pop(id, None)

    def console(self, id: str) -> bytes:
        return self._consoles.get(id, b'')

    def write_console(self, id: str, text: bytes) -> None:
        self._consoles[id] = self._consoles.get(id, b'') + text

    @contextlib.contextmanager
    def orders(self) -> Iterator[dict[str, Any]]:
        yield self._orders


class Directory:
    """The same on disk: a file is replaced whole, so it is old or new but never half."""

    def __init__(self, path: str) -> None:
        self._path = pathlib.Path(path)
        (self._path / 'guests').mkdir(parents=True, exist_ok=True)

    def _folder(self, id: str) -> pathlib.Path:
        return self._path / 'guests' / id

    def ids(self) -> list[str]:
        return [path.name for path in self._path.glob('guests/*')]

    def get(self, id: str) -> dict[str, Any] | None:
        return _read(self._folder(id) / 'guest.json')

    def put(self, id: str, entry: dict[str, Any]) -> None:
        folder = self._folder(id)
        folder.mkdir(exist_ok=True)
        (folder / 'disk').touch()
        _replace(folder / 'guest.json', entry)

    def remove(self, id: str) -> None:
        # what makes it a guest goes first: a removal cut short leaves none behind
        (self._folder(id) / 'guest.json').unlink(missing_ok=True)
        shutil.rmtree(self._folder(id), ignore_errors=True)

    def console(self, id: str) -> bytes:
        try:
            return (self._folder(id) / 'console.log').read_bytes()
        except FileNotFoundError:
            return b''

    def write_console(self, id: str, text: bytes) -> None:
        with (self._folder(id) / 'console.log').open('ab') as log:
            log.write(text)

    @contextlib.contextmanager
    def orders(self) -> Iterator[dict[str, Any]]:
        with (self._path / 'orders.lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)      # held for one read and one write
            orders = _read(self._path / 'orders.json') or {}
            before = json.dumps(orders)
            yield orders
            if json.dumps(orders) != before:
                _replace(self._path / 'orders.json', orders)


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())      # type: ignore[no-any-return]
    except FileNotFoundError:
        return None


def _replace(path: pathlib.Path, entry: dict[str, Any]) -> None:
    beside = path.with_name(f'.{path.name}.{os.getpid()}')
    beside.write_text(json.dumps(entry))
    os.replace(beside, path)


class FakeDriver(Driver):
    """A hypervisor in a dict, or in a directory."""

    supports = frozenset({'pause', 'suspend', 'nics', 'volumes', 'snapshot'})

    def __init__(self, directory: str | None = None, *, hostname: str | None = None, vcpus: int = 64,
                 ram_mb: int = 262144, disk_gb: int = 10240) -> None:
        self._store: Memory | Directory = Directory(directory) if directory else Memory()
        self._capacity = Capacity('fake', 1000000, hostname or os.uname().nodename, vcpus, ram_mb, disk_gb)
        self._callbacks: list[Lifecycle] = []
        for verb, order in json.loads(os.environ.get(ORDERS) or '{}').items():
            with self._store.orders() as orders:
                orders.setdefault(verb, order)

    # -- to order ----------------------------------------------------------------------------

    def fail(self, verb: str, times: int = 1, error: str | Exception = 'Error', *,
             after: bool = False) -> None:
        """Have the next ``times`` calls of ``verb`` fail, before they act or ``after`` they did.

        ``error`` is a name in ``FAILURES``, an error of such a type, or 'kill'.
        """
        name, message = (error, None) if isinstance(error, str) else (type(error).__name__, str(error))
        self._order(verb, times=times, error=name if name in FAILURES or name == 'kill' else 'Error',
                    message=message or f'{verb} fails, as ordered', after=after)

    def delay(self, verb: str, seconds: float) -> None:
        """Have every call of ``verb`` take ``seconds`` longer; 0 ends it."""
        self._order(verb, delay=seconds)

    def happen(self, id: str, state: PowerState) -> None:
        """Let a guest change by itself: crash, or be shut down from inside."""
        self._move(id, state)

    def _order(self, verb: str, **values: Any) -> None:
        if not hasattr(Driver, verb):
            raise ValueError(f'a driver has no verb {verb}')
        with self._store.orders() as orders:
            orders.setdefault(verb, {}).update(values)

    @contextlib.contextmanager
    def _ordered(self, verb: str, id: str) -> Iterator[None]:
        with self._store.orders() as orders:
            order = dict(orders.get(verb) or {})
            fails = order.get('times', 0) > 0
            if fails:
                orders[verb]['times'] -= 1
        if order.get('delay'):
            green.sleep(order['delay'])
        if fails and not order.get('after'):
            self._raise(order, id)
        yield
        if fails and order.get('after'):
            self._raise(order, id)

    def _raise(self, order: dict[str, Any], id: str) -> None:
        name = order.get('error', 'Error')
        if name == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        message = order.get('message') or 'fails, as ordered'
        raise FAILURES.get(name, errors.Error)(message, id=id, host=self._capacity.hypervisor_hostname)

    # -- the host ----------------------------------------------------------------------------

    def init_host(self) -> None:
        with self._ordered('init_host', ''):
            pass

    def close(self) -> None:
        self._callbacks.clear()

    def capacity(self) -> Capacity:
        kept = self._all()
        disk = sum(one.guest.root_gb + one.guest.ephemeral_gb for one in kept)
        return dataclasses.replace(
            self._capacity, vcpus_used=sum(one.guest.vcpus for one in kept),
            ram_used_mb=sum(one.guest.ram_mb for one in kept), disk_used_gb=disk,
            disk_available_least_gb=self._capacity.disk_gb - disk,
            running=sum(one.state == RUNNING for one in kept),
            cpu_info={'arch': 'x86_64', 'model': 'fake', 'vendor': 'fake', 'features': ['nx', 'sse2'],
                      'topology': {'sockets': 1, 'cores': self._capacity.vcpus, 'threads': 1}},
            uptime=uptime())

    def guests(self) -> dict[str, PowerState]:
        return {id: self.power_state(id) for id in self._store.ids()}

    def power_state(self, id: str) -> PowerState:
        entry = self._store.get(id)
        return PowerState(entry['state']) if entry else PowerState.NOSTATE

    def images_in_use(self) -> set[str]:
        return {one.guest.image.path for one in self._all() if one.guest.image}

    def on_lifecycle(self, callback: Lifecycle) -> None:
        self._callbacks.append(callback)

    def _all(self) -> list[_Kept]:
        entries = [self._store.get(id) for id in self._store.ids()]
        return [_Kept.load(entry) for entry in entries if entry]

    # -- a guest's life ----------------------------------------------------------------------

    def spawn(self, guest: Guest) -> None:
        there = self._store.get(guest.id) is not None
        hardware.of(guest.image.properties if guest.image else {})
        if guest.image:
            check_fits(guest.image, guest.root_gb)
        try:
            with self._ordered('spawn', guest.id):
                if there:
                    self._boot(guest.id)
                else:
                    self._save(_Kept(guest, RUNNING, time.time()))
                    self._store.write_console(guest.id, BOOT)
                    self._tell(guest.id, RUNNING)
        except errors.Error:
            if not there:
                self._store.remove(guest.id)
            raise

    def destroy(self, id: str) -> None:
        with self._ordered('destroy', id):
            there = self._store.get(id) is not None
            self._store.remove(id)
            if there:
                self._tell(id, PowerState.NOSTATE)

    def start(self, guest: Guest) -> None:
        with self._ordered('start', guest.id):
            kept = self._get(guest.id)
            if kept.state in (PAUSED, SUSPENDED):
                raise _refused('start', kept)
            if kept.state != RUNNING:
                self._save(dataclasses.replace(kept, guest=guest))
                self._boot(guest.id)

    def stop(self, id: str, timeout: float = 60.0) -> None:
        with self._ordered('stop', id):
            self._get(id)
            self._move(id, SHUTDOWN)

    def reboot(self, guest: Guest, hard: bool = False, timeout: float = 60.0) -> None:
        with self._ordered('reboot', guest.id):
            kept = self._get(guest.id)
            if not hard and kept.state != RUNNING:
                raise _refused('reboot', kept)
            self._save(dataclasses.replace(kept, guest=guest, state=SHUTDOWN))
            self._boot(guest.id)

    def pause(self, id: str) -> None:
        with self._ordered('pause', id):
            self._change(id, 'pause', {RUNNING}, PAUSED)

    def unpause(self, id: str) -> None:
        with self._ordered('unpause', id):
            self._change(id, 'unpause', {PAUSED}, RUNNING)

    def suspend(self, id: str) -> None:
        with self._ordered('suspend', id):
            self._change(id, 'suspend', {RUNNING, PAUSED}, SUSPENDED)

    def resume(self, guest: Guest) -> None:
        with self._ordered('resume', guest.id):
            self._change(guest.id, 'resume', {SUSPENDED}, RUNNING)

    def console_output(self, id: str, limit: int = 102400) -> bytes:
        with self._ordered('console_output', id):
            self._get(id)
            return self._store.console(id)[-limit:] if limit > 0 else b''

    def diagnostics(self, id: str) -> dict[str, Any]:
        with self._ordered('diagnostics', id):
            kept = self._get(id)
        guest, disks = kept.guest, 1 + len(kept.guest.volumes)
        running = kept.state == RUNNING
        counters = ('octets', 'errors', 'drop', 'packets', 'rate')
        return {
            'state': kept.state.name.lower(), 'driver': 'libvirt',      # clients' schemas know a few words only
            'hypervisor': 'fake', 'hypervisor_os': 'linux',
            'uptime': int(time.time() - kept.started) if running else 0,
            'config_drive': guest.config_drive is not None,
            'num_cpus': guest.vcpus, 'num_nics': len(guest.nics), 'num_disks': disks,
            'cpu_details': [{'id': n, 'time': 0, 'utilisation': 0} for n in range(guest.vcpus)],
            'memory_details': {'maximum': guest.ram_mb, 'used': guest.ram_mb if running else 0},
            'nic_details': [{'mac_address': nic.mac, **{f'{way}_{name}': 0 for way in ('rx', 'tx')
                                                        for name in counters}} for nic in guest.nics],
            'disk_details': [{'read_bytes': 0, 'read_requests': 0, 'write_bytes': 0, 'write_requests': 0,
                              'errors_count': 0} for _ in range(disks)],
        }

    # -- plugging ----------------------------------------------------------------------------

    def attach_nic(self, id: str, nic: Nic) -> None:
        with self._ordered('attach_nic', id):
            guest = self._get(id).guest
            others = tuple(one for one in guest.nics if one.mac != nic.mac)
            self._refit(id, nics=(*others, nic))

    def detach_nic(self, id: str, mac: str) -> None:
        with self._ordered('detach_nic', id):
            guest = self._get(id).guest
            self._refit(id, nics=tuple(nic for nic in guest.nics if nic.mac != mac))

    def attach_volume(self, id: str, volume: Volume) -> str:
        with self._ordered('attach_volume', id):
            guest = self._get(id).guest
            for one in guest.volumes:
                if one.id == volume.id:
                    return one.device or ''
            taken = {one.device for one in guest.volumes}
            device = volume.device or next(f'vd{letter}' for letter in 'bcdefghijklmnopqrstuvwxyz'
                                           if f'vd{letter}' not in taken)
            if device in taken:
                raise errors.Conflict('Device {device} of guest {id} is taken.', device=device, id=id)
            self._refit(id, volumes=(*guest.volumes, dataclasses.replace(volume, device=device)))
            return device

    def detach_volume(self, id: str, volume_id: str) -> None:
        with self._ordered('detach_volume', id):
            guest = self._get(id).guest
            self._refit(id, volumes=tuple(one for one in guest.volumes if one.id != volume_id))

    def snapshot(self, id: str, path: str) -> None:
        with self._ordered('snapshot', id):
            guest = self._get(id).guest
            pathlib.Path(path).write_bytes(empty_qcow2(max(guest.root_gb, 1) << 30))

    # -- states ------------------------------------------------------------------------------

    def _get(self, id: str) -> _Kept:
        entry = self._store.get(id)
        if entry is None:
            raise UnknownGuest(id=id)
        return _Kept.load(entry)

    def _save(self, kept: _Kept) -> None:
        self._store.put(kept.guest.id, kept.dump())

    def _refit(self, id: str, **values: Any) -> None:
        kept = self._get(id)
        self._save(dataclasses.replace(kept, guest=dataclasses.replace(kept.guest, **values)))

    def _change(self, id: str, verb: str, legal: set[PowerState], leads: PowerState) -> None:
        kept = self._get(id)
        if kept.state != leads:
            if kept.state not in legal:
                raise _refused(verb, kept)
            self._move(id, leads)

    def _boot(self, id: str) -> None:
        if self._get(id).state != RUNNING:
            self._store.write_console(id, BOOT)
            self._move(id, RUNNING)

    def _move(self, id: str, state: PowerState) -> None:
        kept = self._get(id)
        if kept.state == state:
            return
        started = time.time() if state == RUNNING and kept.state not in (PAUSED, SUSPENDED) else kept.started
        self._save(dataclasses.replace(kept, state=state, started=started))
        self._tell(id, state)

    def _tell(self, id: str, state: PowerState) -> None:
        for callback in self._callbacks:
            green.spawn(callback, id, state)


def _refused(verb: str, kept: _Kept) -> errors.Conflict:
    return errors.Conflict("Cannot '{verb}' guest {id} while it is {state}.", verb=verb, id=kept.guest.id,
                           state=kept.state.name)


def empty_qcow2(size: int) -> bytes:
    """A qcow2 disk of ``size`` bytes with nothing on it: header, refcounts, an L1 table of zeros."""
    cluster = 65536
    entries = -(-size // (cluster * cluster // 8))
    tables = -(-entries * 8 // cluster)
    header = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 0, 0, 16, size, 0, entries, 3 * cluster,
                         cluster, 1, 0, 0, 0, 0, 0, 4, 104)
    refcounts = struct.pack('>Q', 2 * cluster)
    counts = struct.pack('>H', 1) * (3 + tables)
    heads = (part.ljust(cluster, b'\0') for part in (header, refcounts, counts))
    return b''.join(heads) + bytes(tables * cluster)
