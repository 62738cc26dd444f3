"""The libvirt domain of a guest: a pure function from a guest and its host's settings to XML."""

import dataclasses
import os
import re

from nova.virt import hardware
from nova.virt.driver import Guest, Nic, Volume
from nova.virt.hardware import Hardware
from nova.virt.libvirt.xml import NOVA, Element, el, text

#: what XML 1.0 cannot carry
_UNPRINTABLE = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')

#: PCI Express slots left free for disks and cards to come
SPARE_PORTS = 12

_PREFIX = {'virtio': 'vd', 'scsi': 'sd', 'sata': 'sd', 'ide': 'hd', 'usb': 'sd'}


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How domains are made on this host."""

    virt_type: str = 'qemu'           # 'kvm', 'qemu' or 'test'
    cpu_mode: str = 'none'            # 'host-model', 'host-passthrough', 'maximum', 'custom', 'none'
    cpu_model: str | None = None      # with 'custom'
    machine: str | None = 'pc'
    disk_cache: str = 'none'
    vnc_listen: str | None = '127.0.0.1'


class Folder:
    """Where a guest's files are."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def root(self) -> str:
        return os.path.join(self.path, 'disk')

    @property
    def ephemeral(self) -> str:
        return os.path.join(self.path, 'disk.eph0')

    @property
    def swap(self) -> str:
        return os.path.join(self.path, 'disk.swap')

    @property
    def config_drive(self) -> str:
        return os.path.join(self.path, 'disk.config')

    @property
    def console(self) -> str:
        return os.path.join(self.path, 'log', 'console.log')

    @property
    def base(self) -> str:
        return os.path.join(self.path, 'base')

    @property
    def started(self) -> str:
        return os.path.join(self.path, 'started')


class Names:
    """Hands out the target names of disks, each once: vda, vdb, ... sda ..."""

    def __init__(self, taken: set[str] | None = None) -> None:
        self._taken = set(taken or ())

    def take(self, bus: str, wanted: str | None = None) -> str:
        prefix = _PREFIX[bus]
        if wanted and wanted not in self._taken:
            name = wanted
        else:
            letters = 'abcdefghijklmnopqrstuvwxyz'
            free = (prefix + one for one in [*letters, *(a + b for a in letters for b in letters)])
            name = next(one for one in free if one not in self._taken)
        self._taken.add(name)
        return name


def document(guest: Guest, folder: Folder, settings: Settings) -> str:
    """The domain's XML.  Raises ``hardware.BadHardware`` for what the image must not ask."""
    kind = hardware.of(guest.image.properties if guest.image else {})
    return text(el(
        'domain',
        el('name', guest.name),
        el('uuid', guest.id),
        _metadata(guest),
        el('memory', guest.ram_mb, unit='MiB'),
        el('currentMemory', guest.ram_mb, unit='MiB'),
        el('vcpu', guest.vcpus),
        *_identity(guest, settings),
        _os(guest, kind, settings),
        el('features', el('acpi'), el('apic')),
        _cpu(guest, kind, settings),
        el('clock', offset='localtime' if kind.os_type == 'windows' else 'utc'),
        el('on_poweroff', 'destroy'),
        el('on_reboot', 'restart'),
        el('on_crash', 'destroy'),
        _devices(guest, folder, kind, settings),
        type_=settings.virt_type))


def _metadata(guest: Guest) -> Element:
    return el('metadata', el(
        f'{{{NOVA}}}instance',
        el(f'{{{NOVA}}}name', _printable(guest.title)),
        *(el(f'{{{NOVA}}}item', _printable(value), key=_printable(key))
          for key, value in sorted(guest.metadata.items()))))


def _printable(value: str) -> str:
    return _UNPRINTABLE.sub('?', value)


def _identity(guest: Guest, settings: Settings) -> list[Element]:
    """What the guest's firmware says; cloud-init knows an OpenStack guest by the product name."""
    if settings.virt_type == 'test':
        return []
    entries = {'manufacturer': 'OpenStack Foundation', 'product': 'OpenStack Nova', 'serial': guest.id,
               'uuid': guest.id, 'family': 'Virtual Machine'}
    return [el('sysinfo', el('system', *(el('entry', value, name=name) for name, value in entries.items())),
               type_='smbios')]


def _os(guest: Guest, kind: Hardware, settings: Settings) -> Element:
    uefi = kind.hw_firmware_type == 'uefi'
    cmdline = guest.cmdline or kind.os_command_line
    return el('os',
              el('type', 'hvm', arch='x86_64' if settings.virt_type != 'test' else None,
                 machine=kind.hw_machine_type or settings.machine),
              el('kernel', guest.kernel) if guest.kernel else None,
              el('initrd', guest.ramdisk) if guest.ramdisk else None,
              el('cmdline', cmdline) if guest.kernel and cmdline else None,
              el('smbios', mode='sysinfo') if settings.virt_type != 'test' else None,
              firmware='efi' if uefi else None)


def _cpu(guest: Guest, kind: Hardware, settings: Settings) -> Element | None:
    layout = hardware.topology(kind, guest.vcpus)
    shape = el('topology', **dataclasses.asdict(layout)) if layout else None
    if settings.cpu_mode == 'none':
        return el('cpu', shape) if layout else None
    if settings.cpu_mode == 'custom':
        return el('cpu', el('model', settings.cpu_model, fallback='allow'), shape, mode='custom',
                  match='exact', check='none')
    return el('cpu', shape, mode=settings.cpu_mode, check='none' if settings.cpu_mode == 'maximum' else None)


def _devices(guest: Guest, folder: Folder, kind: Hardware, settings: Settings) -> Element:
    if settings.virt_type == 'test':
        return el('devices', *_disks(guest, folder, kind, settings), *(nic(one, kind) for one in guest.nics))
    return el(
        'devices',
        *_controllers(kind),
        *_disks(guest, folder, kind, settings),
        *(nic(one, kind) for one in guest.nics),
        *_serials(folder, kind),
        *_channels(kind),
        el('input', type_='tablet', bus='usb') if kind.hw_pointer_model == 'usbtablet' else None,
        *_screen(kind, settings),
        _watchdog(kind),
        el('memballoon', el('stats', period=10), model='virtio'),
        el('rng', el('backend', '/dev/urandom', model='random'), model='virtio')
        if kind.hw_rng_model == 'virtio' else None)


def _controllers(kind: Hardware) -> list[Element]:
    found = []
    if kind.is_q35:
        found = [el('controller', type_='pci', index=0, model='pcie-root'),
                 *(el('controller', type_='pci', index=n, model='pcie-root-port')
                   for n in range(1, SPARE_PORTS + 1))]
    if kind.hw_pointer_model != 'usbtablet':
        found.append(el('controller', type_='usb', model='none'))
    if 'scsi' in (kind.hw_disk_bus, kind.hw_cdrom_bus):
        found.append(el('controller', type_='scsi', index=0, model=kind.hw_scsi_model or 'virtio-scsi'))
    return found


def _disks(guest: Guest, folder: Folder, kind: Hardware, settings: Settings) -> list[Element]:
    """The root disk first; the firmware is told to boot from it and from no other."""
    bus, names, found = kind.hw_disk_bus, Names(), []
    boots = next((one for one in guest.volumes if one.boot), None)
    if boots is None:
        found.append(disk(folder.root, names.take(bus), bus, 'qcow2', settings,
                          base=(guest.image.path, guest.image.format) if guest.image else None, boot=True))
    for one in sorted(guest.volumes, key=lambda one: not one.boot):
        found.append(volume(one, names.take(one.bus or bus, one.device), kind, settings))
    if guest.ephemeral_gb:
        found.append(disk(folder.ephemeral, names.take(bus), bus, 'raw', settings))
    if guest.swap_mb:
        found.append(disk(folder.swap, names.take(bus), bus, 'raw', settings))
    if guest.config_drive:
        bus = kind.hw_cdrom_bus
        found.append(disk(folder.config_drive, names.take(bus), bus, 'raw', settings,
                          device='disk' if bus == 'virtio' else 'cdrom', read_only=True))
    return found


def disk(path: str, target: str, bus: str, format: str, settings: Settings, *, device: str = 'disk',
         base: tuple[str, str] | None = None, read_only: bool = False, serial: str | None = None,
         boot: bool = False) -> Element:
    """A disk.  What it stands on is spelled out to the end, so that nobody guesses a format."""
    block = path.startswith('/dev/')
    cache = 'writeback' if device == 'cdrom' else settings.disk_cache
    below = None
    if base:
        # libvirt is not to hand the base to QEMU's user, who could then write it
        below = el('backingStore', el('format', type_=base[1]),
                   el('source', el('seclabel', model='dac', relabel='no'), file=base[0]),
                   el('backingStore'), type_='file')
    elif format == 'qcow2':
        below = el('backingStore')
    how = el('driver', name='qemu', type_=format, cache=cache, discard=None if read_only else 'unmap')
    return el('disk',
              how if settings.virt_type != 'test' else None,
              el('source', **{'dev' if block else 'file': path}),
              below,
              el('target', dev=target, bus=bus),
              el('serial', serial) if serial else None,
              el('boot', order=1) if boot else None,
              el('readonly') if read_only else None,
              type_='block' if block else 'file', device=device)


def volume(one: Volume, target: str, kind: Hardware, settings: Settings) -> Element:
    """A disk that is kept elsewhere; the guest finds it by its serial number."""
    return disk(one.path, target, one.bus or kind.hw_disk_bus, one.format, settings,
                read_only=one.read_only, serial=one.id, boot=one.boot)


def nic(one: Nic, kind: Hardware) -> Element:
    """A network card, on a tap that is there already or on a bridge."""
    made = one.kind == 'tap'
    common = (el('mac', address=one.mac), el('target', dev=one.device, managed='no' if made else None),
              el('model', type_=one.model or kind.hw_vif_model), el('mtu', size=one.mtu))
    if made:
        return el('interface', *common, type_='ethernet')
    return el('interface', el('source', bridge=one.bridge), *common, type_='bridge')


def _serials(folder: Folder, kind: Hardware) -> list[Element]:
    """Serial ports; the first is the console, which virtlogd writes down."""
    first = el('serial', el('log', file=folder.console, append='on'), el('target', port=0), type_='pty')
    rest = (el('serial', el('target', port=n), type_='pty') for n in range(1, kind.hw_serial_port_count))
    return [first, *rest]


def _channels(kind: Hardware) -> list[Element]:
    if not kind.hw_qemu_guest_agent:
        return []
    return [el('channel', el('target', type_='virtio', name='org.qemu.guest_agent.0'), type_='unix')]


def _screen(kind: Hardware, settings: Settings) -> list[Element]:
    if settings.vnc_listen is None or kind.hw_video_model == 'none':
        return [el('video', el('model', type_='none'))]
    memory = kind.hw_video_ram * 1024 if kind.hw_video_ram else None
    return [el('graphics', type_='vnc', port=-1, autoport='yes', listen=settings.vnc_listen),
            el('video', el('model', type_=kind.hw_video_model, vram=memory))]


def _watchdog(kind: Hardware) -> Element | None:
    if kind.hw_watchdog_action == 'disabled':
        return None
    return el('watchdog', model='i6300esb', action=kind.hw_watchdog_action)
