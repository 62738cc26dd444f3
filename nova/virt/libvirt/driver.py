"""Guests under KVM or QEMU, through libvirt.

    <directory>/<guest id>/disk           qcow2 on the cached base
                           disk.config    config drive      disk.eph0, disk.swap
                           log/           the console, written by virtlogd
                           base           the path of the base, for the image cache
                           started        its time is that of the last power-on

A guest's folder is made before its domain and removed after it, so a domain
is ours exactly if its folder is there, and a folder without a domain is what
is left of a build or a removal cut short.
"""

import contextlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import libvirt

from nova.virt import disks, images
from nova.virt.driver import (
    Capacity,
    Driver,
    Guest,
    Lifecycle,
    Nic,
    PowerState,
    Unbuildable,
    UnknownGuest,
    Volume,
)
from nova.virt.libvirt import console, host, plugging, probe, snapshot
from nova.virt.libvirt.connection import Connection, Refused
from nova.virt.libvirt.domain import Folder, Settings, document
from nova.virt.libvirt.xml import parse
from strata import errors, green

LOG = logging.getLogger(__name__)

MIB, GIB = 1 << 20, 1 << 30
_UUID = re.compile(r'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')

#: seconds after which a guest is asked again to switch off: it may have been too young to listen
ASK_AGAIN = 10.0

#: processors by type: the host's own, or one that distributions still take and emulation runs fast
CPUS: dict[str, tuple[str, str | None]] = {'kvm': ('host-passthrough', None), 'qemu': ('custom', 'Nehalem')}

_ABSENT = libvirt.VIR_ERR_NO_DOMAIN
_RUNNING = PowerState.RUNNING


class LibvirtDriver(Driver):
    """One libvirt on this host."""

    supports = frozenset({'pause', 'suspend', 'nics', 'volumes', 'snapshot'})

    def __init__(self, directory: str, *, uri: str = 'qemu:///system', virt_type: str = 'auto',
                 cpu_mode: str | None = None, cpu_model: str | None = None, machine: str = 'pc',
                 vnc_listen: str | None = '127.0.0.1', host_ip: str = '127.0.0.1') -> None:
        self._directory = os.path.abspath(directory)
        self._connection = Connection(uri, self._heard)
        self._virt_type = 'test' if uri.startswith('test:') else virt_type
        if self._virt_type == 'test':
            self.supports = self.supports - {'nics', 'volumes', 'snapshot'}
        self._cpu = (cpu_mode, cpu_model)
        self._machine = machine if self._virt_type != 'test' else None
        self._vnc_listen = vnc_listen
        self._host_ip = host_ip
        self._settings = Settings(virt_type=self._virt_type)
        self._callbacks: list[Lifecycle] = []
        self._told: dict[str, PowerState] = {}

    # -- the host ----------------------------------------------------------------------------

    def init_host(self) -> None:
        os.makedirs(self._directory, mode=0o755, exist_ok=True)
        self._connection.open()
        virt_type = self._virt_type
        if virt_type == 'auto':
            virt_type = 'kvm' if probe.usable(self._connection, self._directory) else 'qemu'
        mode, model = self._cpu
        if mode in (None, 'auto'):
            mode, model = CPUS.get(virt_type, ('none', None))
        self._settings = Settings(
            virt_type=virt_type, cpu_mode=mode, cpu_model=model, machine=self._machine,
            vnc_listen=self._vnc_listen,
            disk_cache='none' if disks.direct_io(self._directory) else 'writeback')
        LOG.info('guests run under %s (%s)', virt_type, self._connection.uri)

    def close(self) -> None:
        self._callbacks.clear()
        self._connection.close()

    def capacity(self) -> Capacity:
        wanted = (libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_VCPU
                  | libvirt.VIR_DOMAIN_STATS_BLOCK)
        return host.capacity(self._connection, self._directory, self._host_ip, self._stats(wanted))

    def guests(self) -> dict[str, PowerState]:
        ours = {name: PowerState.NOSTATE for name in os.listdir(self._directory) if _UUID.match(name)}
        saved = {one.UUIDString() for one in self._connection.ask(
            'listAllDomains', libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)}
        for id, stats in self._stats(libvirt.VIR_DOMAIN_STATS_STATE).items():
            if id in ours:
                state, reason = stats.get('state.state', 0), stats.get('state.reason', 0)
                ours[id] = host.power_state(state, reason, id in saved)
        return ours

    def power_state(self, id: str) -> PowerState:
        try:
            return self._state(self._domain(id))
        except UnknownGuest:
            return PowerState.NOSTATE

    def images_in_use(self) -> set[str]:
        used = set()
        for id in self.guests():
            with contextlib.suppress(FileNotFoundError), open(self._folder(id).base) as note:
                used.add(note.read())
        return used

    def on_lifecycle(self, callback: Lifecycle) -> None:
        self._callbacks.append(callback)

    def _stats(self, wanted: int) -> dict[str, dict[str, Any]]:
        found = self._connection.ask('getAllDomainStats', wanted, 0)
        return {domain.UUIDString(): stats for domain, stats in found}

    def _heard(self, id: str, event: int, detail: int) -> None:
        """Libvirt said that something changed; what it is now is asked, for events come late."""
        states = {id: self.power_state(id)} if id else self.guests()
        for one, state in states.items():
            ours = one in self._told or os.path.isdir(self._folder(one).path)
            if not ours or self._told.get(one) == state:
                continue
            self._told[one] = state
            if state == PowerState.NOSTATE:
                del self._told[one]
            for callback in self._callbacks:
                green.spawn(callback, one, state)

    # -- a guest's life ----------------------------------------------------------------------

    def spawn(self, guest: Guest) -> None:
        state = self.power_state(guest.id)
        if state == _RUNNING:
            return
        xml = document(guest, self._folder(guest.id), self._settings)      # refuses before anything is made
        try:
            self._make_disks(guest)
            self._launch(guest, xml)
        except Exception as error:
            if state == PowerState.NOSTATE:
                self._clean_up(guest.id)
            if isinstance(error, Refused):
                raise Unbuildable(reason='its hypervisor refuses the guest') from error
            raise

    def _clean_up(self, id: str) -> None:
        try:
            self.destroy(id)
        except errors.Error as error:
            LOG.warning('guest %s, which could not be built, could not be removed either: %s', id, error)

    def _make_disks(self, guest: Guest) -> None:
        folder = self._folder(guest.id)
        os.makedirs(folder.path, mode=0o755, exist_ok=True)
        if guest.image:
            images.check_fits(guest.image, guest.root_gb)
            with open(folder.base, 'w') as note:
                note.write(guest.image.path)
            disks.overlay(folder.root, guest.image, guest.root_gb * GIB)
        elif not any(volume.boot for volume in guest.volumes):
            disks.blank(folder.root, max(guest.root_gb, 1) * GIB)
        if guest.ephemeral_gb:
            disks.ephemeral(folder.ephemeral, guest.ephemeral_gb * GIB)
        if guest.swap_mb:
            disks.swap(folder.swap, guest.swap_mb * MIB)
        if guest.config_drive:
            disks.copy(folder.config_drive, guest.config_drive)
        console.prepare(folder)

    def _launch(self, guest: Guest, xml: str) -> None:
        domain = self._connection.ask('defineXML', xml)
        self._connection.call(domain.create)
        with open(self._folder(guest.id).started, 'w'):
            pass      # its time is what diagnostics counts the up-time from

    def destroy(self, id: str) -> None:
        folder = self._folder(id)
        try:
            domain = self._domain(id)
        except UnknownGuest:
            pass
        else:
            self._power_off(domain)
            self._undefine(domain)
        shutil.rmtree(folder.path, ignore_errors=True)
        if os.path.isdir(folder.path):
            raise errors.Error('The folder of guest {id} could not be removed.', id=id)

    def _undefine(self, domain: libvirt.virDomain) -> None:
        flags = (libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                 | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
        if self._settings.virt_type == 'test':
            flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        with self._absent_is_fine():
            self._connection.call(domain.undefineFlags, flags)

    def start(self, guest: Guest) -> None:
        state = self._state(self._domain(guest.id))
        if state == _RUNNING:
            return
        if state in (PowerState.PAUSED, PowerState.SUSPENDED):
            raise _refused('start', guest.id, state)
        self._relaunch(guest)

    def _relaunch(self, guest: Guest) -> None:
        try:
            self._launch(guest, document(guest, self._folder(guest.id), self._settings))
        except Refused as error:
            raise errors.Error('Guest {id} did not start: its hypervisor refuses it', id=guest.id) from error

    def stop(self, id: str, timeout: float = 60.0) -> None:
        domain = self._domain(id)
        state = self._state(domain)
        if state == PowerState.SUSPENDED:
            self._connection.call(domain.managedSaveRemove, 0)
            return
        if state == _RUNNING and timeout > 0 and self._ask_off(domain, timeout):
            return
        self._power_off(domain)

    def reboot(self, guest: Guest, hard: bool = False, timeout: float = 60.0) -> None:
        domain = self._domain(guest.id)
        state = self._state(domain)
        if not hard and state != _RUNNING:
            raise _refused('reboot', guest.id, state)
        self.stop(guest.id, 0 if hard else timeout)
        self._relaunch(guest)

    def _ask_off(self, domain: libvirt.virDomain, timeout: float) -> bool:
        """Press the power button until the guest is off; whether it is."""
        limit, asked = time.monotonic() + timeout, 0.0
        while time.monotonic() < limit:
            if time.monotonic() - asked > ASK_AGAIN:
                asked = time.monotonic()
                try:
                    self._connection.call(domain.shutdown)
                except Refused as error:
                    LOG.info('guest %s cannot be asked to switch off: %s', domain.UUIDString(), error)
                    return self._state(domain) != _RUNNING
            if self._state(domain) != _RUNNING:
                return True
            green.sleep(0.2)
        return False

    def _power_off(self, domain: libvirt.virDomain) -> None:
        """Pull the plug; a loaded host may need more than one try to end the process."""
        for attempt in range(4):
            try:
                self._connection.call(domain.destroy)
                return
            except Refused as error:
                if error.code in (_ABSENT, libvirt.VIR_ERR_OPERATION_INVALID):
                    return
                if attempt == 3:
                    raise errors.Error('Guest {id} cannot be switched off: {reason}', id=domain.UUIDString(),
                                       reason=error.details['reason']) from error
            green.sleep(1.0)

    def pause(self, id: str) -> None:
        domain = self._in_state(id, 'pause', PowerState.PAUSED, {_RUNNING})
        if domain is not None:
            self._connection.call(domain.suspend)

    def unpause(self, id: str) -> None:
        domain = self._in_state(id, 'unpause', _RUNNING, {PowerState.PAUSED})
        if domain is not None:
            self._connection.call(domain.resume)

    def suspend(self, id: str) -> None:
        domain = self._in_state(id, 'suspend', PowerState.SUSPENDED, {_RUNNING, PowerState.PAUSED})
        if domain is not None:
            self._connection.call(domain.managedSave, libvirt.VIR_DOMAIN_SAVE_RUNNING)

    def resume(self, guest: Guest) -> None:
        domain = self._in_state(guest.id, 'resume', _RUNNING, {PowerState.SUSPENDED})
        if domain is not None:
            self._connection.call(domain.create)

    def _in_state(self, id: str, verb: str, leads: PowerState,
                  legal: set[PowerState]) -> libvirt.virDomain | None:
        """The domain if there is something to do; ``None`` if it is where the verb leads."""
        domain = self._domain(id)
        state = self._state(domain)
        if state == leads:
            return None
        if state not in legal:
            raise _refused(verb, id, state)
        return domain

    def console_output(self, id: str, limit: int = 102400) -> bytes:
        self._domain(id)
        return console.tail(self._connection, self._folder(id), limit)

    def diagnostics(self, id: str) -> dict[str, Any]:
        domain = self._domain(id)
        stats = self._connection.ask('domainListGetStats', [domain], 0, 0)
        stats = stats[0][1] if stats else {}
        xml = parse(self._connection.call(domain.XMLDesc, 0))
        folder = self._folder(id)
        return host.diagnostics(stats, self._state(domain), _modified(folder.started), xml,
                                os.path.exists(folder.config_drive))

    # -- plugging ----------------------------------------------------------------------------

    def attach_nic(self, id: str, nic: Nic) -> None:
        self._check('nics')
        plugging.attach_nic(self._connection, self._domain(id), nic)

    def detach_nic(self, id: str, mac: str) -> None:
        self._check('nics')
        plugging.detach_nic(self._connection, self._domain(id), mac)

    def attach_volume(self, id: str, volume: Volume) -> str:
        self._check('volumes')
        return plugging.attach_volume(self._connection, self._domain(id), volume, self._settings)

    def detach_volume(self, id: str, volume_id: str) -> None:
        self._check('volumes')
        plugging.detach_volume(self._connection, self._domain(id), volume_id)

    def snapshot(self, id: str, path: str) -> None:
        domain = self._domain(id)
        self._check('snapshot')
        snapshot.take(self._connection, domain, self._folder(id), path)

    def _check(self, feature: str) -> None:
        if feature not in self.supports:
            raise self._lacks(feature)

    # -- finding things ----------------------------------------------------------------------

    def _folder(self, id: str) -> Folder:
        if not _UUID.match(id):
            raise UnknownGuest(id=id)
        return Folder(os.path.join(self._directory, id))

    def _domain(self, id: str) -> libvirt.virDomain:
        self._folder(id)
        try:
            return self._connection.ask('lookupByUUIDString', id)
        except Refused as error:
            if error.code == _ABSENT:
                raise UnknownGuest(id=id) from error
            raise

    def _state(self, domain: libvirt.virDomain) -> PowerState:
        try:
            state, reason = self._connection.call(domain.state)
            saved = state == libvirt.VIR_DOMAIN_SHUTOFF and self._connection.call(domain.hasManagedSaveImage)
        except Refused as error:
            if error.code == _ABSENT:
                raise UnknownGuest(id=domain.UUIDString()) from error
            raise
        return host.power_state(state, reason, bool(saved))

    @contextlib.contextmanager
    def _absent_is_fine(self) -> Iterator[None]:
        try:
            yield
        except Refused as error:
            if error.code != _ABSENT:
                raise


def _refused(verb: str, id: str, state: PowerState) -> errors.Conflict:
    return errors.Conflict("Cannot '{verb}' guest {id} while it is {state}.", verb=verb, id=id,
                           state=state.name)


def _modified(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return None
