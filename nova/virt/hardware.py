"""What kind of machine an image wants: its ``hw_*`` properties, read once and strictly.

A property that is not in the table is none of this page's business; one that
is, with a value that is not, is refused by its name.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from strata import errors

DISK_BUSES = ('virtio', 'scsi', 'ide', 'sata')
VIF_MODELS = ('virtio', 'e1000', 'e1000e', 'rtl8139', 'pcnet', 'ne2k_pci', 'vmxnet3')
VIDEO_MODELS = ('vga', 'virtio', 'cirrus', 'qxl', 'bochs', 'none')
MACHINES = re.compile(r'^(pc|q35|pc-i440fx-[0-9a-z.+-]+|pc-q35-[0-9a-z.+-]+)$')


class BadHardware(errors.Invalid):
    """An image property has a value that no machine of ours has."""

    message = "Image property {name}: '{value}' is not {wanted}."


@dataclasses.dataclass(frozen=True, slots=True)
class Hardware:
    """A virtual machine's kind; each field is named after its image property."""

    hw_disk_bus: str = 'virtio'
    hw_cdrom_bus: str = 'ide'
    hw_vif_model: str = 'virtio'
    hw_machine_type: str | None = None        # None = the host's default
    hw_video_model: str = 'vga'
    hw_video_ram: int | None = None           # MiB
    hw_serial_port_count: int = 1
    hw_cpu_sockets: int | None = None
    hw_cpu_cores: int | None = None
    hw_cpu_threads: int | None = None
    hw_qemu_guest_agent: bool = False
    hw_rng_model: str = 'virtio'
    hw_scsi_model: str | None = None
    hw_pointer_model: str | None = None
    hw_watchdog_action: str = 'disabled'
    hw_firmware_type: str = 'bios'
    os_type: str = 'linux'
    os_command_line: str | None = None

    @property
    def is_q35(self) -> bool:
        """Whether the machine has PCI Express, and no IDE."""
        return 'q35' in (self.hw_machine_type or '')


def _one_of(*choices: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        text = str(value).lower()
        if text not in choices:
            raise BadHardware(name=name, value=value, wanted='one of ' + ', '.join(choices))
        return text
    return read


def _number(least: int, most: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise BadHardware(name=name, value=value, wanted=f'a number from {least} to {most}')
        return int(text)
    return read


def _yes_no(name: str, value: Any) -> bool:
    text = str(value).lower()
    if text not in ('true', 'yes', 'on', '1', 'false', 'no', 'off', '0'):
        raise BadHardware(name=name, value=value, wanted='yes or no')
    return text in ('true', 'yes', 'on', '1')


def _machine(name: str, value: Any) -> str:
    if not MACHINES.match(str(value)):
        raise BadHardware(name=name, value=value, wanted='pc, q35, or a version of these')
    return str(value)


def _line(name: str, value: Any) -> str:
    text = str(value)
    if len(text) > 2048 or not text.isprintable():
        raise BadHardware(name=name, value=text[:40], wanted='one printable line of at most 2048 characters')
    return text


_READERS: dict[str, Callable[[str, Any], Any]] = {
    'hw_disk_bus': _one_of(*DISK_BUSES),
    'hw_cdrom_bus': _one_of(*DISK_BUSES),
    'hw_vif_model': _one_of(*VIF_MODELS),
    'hw_machine_type': _machine,
    'hw_video_model': _one_of(*VIDEO_MODELS),
    'hw_video_ram': _number(1, 1024),
    'hw_serial_port_count': _number(1, 4),
    'hw_cpu_sockets': _number(1, 512),
    'hw_cpu_cores': _number(1, 512),
    'hw_cpu_threads': _number(1, 512),
    'hw_qemu_guest_agent': _yes_no,
    'hw_rng_model': _one_of('virtio', 'none'),
    'hw_scsi_model': _one_of('virtio-scsi', 'lsilogic'),
    'hw_pointer_model': _one_of('usbtablet', 'ps2mouse'),
    'hw_watchdog_action': _one_of('disabled', 'none', 'pause', 'poweroff', 'reset'),
    'hw_firmware_type': _one_of('bios', 'uefi'),
    'os_type': _one_of('linux', 'windows'),
    'os_command_line': _line,
}

#: what an image may demand of its host; anything else cannot run here
_FIXED = {
    'hw_architecture': ('x86_64',), 'architecture': ('x86_64',),
    'hw_vm_mode': ('hvm',), 'vm_mode': ('hvm',),
    'img_hv_type': ('kvm', 'qemu'), 'hypervisor_type': ('kvm', 'qemu'),
}


def of(properties: Mapping[str, Any]) -> Hardware:
    """The machine that an image's properties ask for.

    Raises ``BadHardware`` naming the property at fault.
    """
    for name, allowed in _FIXED.items():
        if properties.get(name) is not None:
            _one_of(*allowed)(name, properties[name])
    asked = {name: read(name, properties[name]) for name, read in _READERS.items()
             if properties.get(name) is not None}
    kind = Hardware(**asked)
    if kind.is_q35 and 'ide' in (asked.get('hw_disk_bus'), asked.get('hw_cdrom_bus')):
        raise BadHardware(name='hw_machine_type', value=kind.hw_machine_type,
                          wanted='a machine with an IDE bus')
    if kind.is_q35 and kind.hw_cdrom_bus == 'ide':
        kind = dataclasses.replace(kind, hw_cdrom_bus='sata')
    return kind


@dataclasses.dataclass(frozen=True, slots=True)
class Topology:
    """How virtual processors are laid out; the product is the number of them."""

    sockets: int
    cores: int
    threads: int


def topology(kind: Hardware, vcpus: int) -> Topology | None:
    """The layout the image asks for, its open ends filled in; ``None`` if it does not care.

    Raises ``BadHardware`` if no layout of that kind has ``vcpus`` processors.
    """
    asked = (kind.hw_cpu_sockets, kind.hw_cpu_cores, kind.hw_cpu_threads)
    if asked == (None, None, None):
        return None
    sockets, cores, threads = asked
    threads = threads or 1
    if cores is None:
        cores = vcpus // ((sockets or vcpus) * threads) or 1
    if sockets is None:
        sockets = vcpus // (cores * threads)
    if sockets * cores * threads != vcpus:
        raise BadHardware(name='hw_cpu_sockets, hw_cpu_cores, hw_cpu_threads',
                          value=f'{sockets}*{cores}*{threads}', wanted=f'a layout of {vcpus} processors')
    return Topology(sockets, cores, threads)
