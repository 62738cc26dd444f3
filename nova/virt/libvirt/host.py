"""What libvirt says of the host and of a guest's use of it, in the words of ``nova.virt.driver``."""

import os
import time
from typing import Any

import libvirt

from nova.virt.driver import Capacity, PowerState
from nova.virt.libvirt.connection import Connection
from nova.virt.libvirt.xml import Element, parse
from nova.virt.uptime import uptime

GIB = 1 << 30
MIB = 1 << 20

_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: PowerState.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,      # on its way, and still there
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.SUSPENDED,
}

#: reasons for which libvirt holds a guest still for a moment, on its way to somewhere else
_IN_PASSING = frozenset({
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, libvirt.VIR_DOMAIN_PAUSED_SAVE, libvirt.VIR_DOMAIN_PAUSED_DUMP,
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT,
    libvirt.VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN,
})


def power_state(state: int, reason: int, saved: bool) -> PowerState:
    """Libvirt's state and reason as ours; ``saved``: there is a managed save image."""
    if state == libvirt.VIR_DOMAIN_PAUSED and reason in _IN_PASSING:
        return PowerState.RUNNING
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        if saved:
            return PowerState.SUSPENDED
        if reason in (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_FAILED):
            return PowerState.CRASHED
    return _STATES.get(state, PowerState.NOSTATE)


def capacity(connection: Connection, directory: str, host_ip: str,
             stats: dict[str, dict[str, Any]]) -> Capacity:
    """The host, now; ``stats`` are those of our guests, by id."""
    vcpus, memory = connection.ask('getInfo')[2], _memory_mb()
    disk = os.statvfs(directory)
    running = [one for one in stats.values() if one.get('state.state') == libvirt.VIR_DOMAIN_RUNNING]
    free = disk.f_bavail * disk.f_frsize
    promised = sum(max(one.get(f'block.{n}.capacity', 0) - one.get(f'block.{n}.allocation', 0), 0)
                   for one in stats.values() for n in range(one.get('block.count', 0)))
    return Capacity(
        hypervisor_type=connection.ask('getType'), hypervisor_version=connection.ask('getVersion'),
        hypervisor_hostname=connection.ask('getHostname'), vcpus=vcpus, ram_mb=memory['MemTotal'],
        disk_gb=disk.f_blocks * disk.f_frsize // GIB,
        vcpus_used=sum(one.get('vcpu.current', 0) for one in running),
        ram_used_mb=memory['MemTotal'] - memory['MemAvailable'],
        disk_used_gb=(disk.f_blocks - disk.f_bfree) * disk.f_frsize // GIB,
        disk_available_least_gb=(free - promised) // GIB,
        running=len(running), cpu_info=cpu_info(connection.ask('getCapabilities')), host_ip=host_ip,
        uptime=uptime())


def _memory_mb() -> dict[str, int]:
    """The kernel's own account; libvirt's is short of memory that was plugged in later."""
    with open('/proc/meminfo') as file:
        return {name: int(value.split()[0]) // 1024 for name, value in (line.split(':', 1) for line in file)}


def cpu_info(capabilities: str) -> dict[str, Any]:
    """The host's processor, from libvirt's capabilities."""
    cpu = parse(capabilities).find('host/cpu')
    if cpu is None:
        return {}
    names = ('arch', 'model', 'vendor')
    found: dict[str, Any] = {name: cpu.findtext(name) for name in names if cpu.findtext(name)}
    layout = cpu.find('topology')
    if layout is not None:
        found['topology'] = {name: int(layout.get(name, 1)) for name in ('sockets', 'cores', 'threads')}
    found['features'] = sorted(one.get('name', '') for one in cpu.findall('feature'))
    return found


def diagnostics(stats: dict[str, Any], state: PowerState, started: float | None, domain: Element,
                has_drive: bool) -> dict[str, Any]:
    """A guest's counters under the API's names.

    ``stats`` as ``virConnectGetAllDomainStats`` gives them, ``domain`` the XML.
    """
    macs = {_attribute(one, 'target', 'dev'): _attribute(one, 'mac', 'address')
            for one in domain.findall('devices/interface')}
    vcpus = [{'id': n, 'time': stats.get(f'vcpu.{n}.time', 0), 'utilisation': None}
             for n in range(stats.get('vcpu.maximum', 0))]
    disks = [_disk(stats, n) for n in range(stats.get('block.count', 0))]
    nics = [_nic(stats, n, macs) for n in range(stats.get('net.count', 0))]
    return {
        'state': 'pending' if state == PowerState.NOSTATE else state.name.lower(), 'driver': 'libvirt',
        'hypervisor': domain.get('type', ''), 'hypervisor_os': 'linux', 'config_drive': has_drive,
        'uptime': int(time.time() - started) if started else 0,
        'num_cpus': len(vcpus), 'num_nics': len(nics), 'num_disks': len(disks),
        'cpu_details': vcpus, 'nic_details': nics, 'disk_details': disks,
        'memory_details': {'maximum': stats.get('balloon.maximum', 0) // 1024,
                           'used': stats.get('balloon.current', 0) // 1024},
    }


def _attribute(node: Element, child: str, name: str) -> str:
    found = node.find(child)
    return found.get(name, '') if found is not None else ''


def _disk(stats: dict[str, Any], n: int) -> dict[str, Any]:
    def value(name: str) -> int:
        return int(stats.get(f'block.{n}.{name}', 0))
    return {'read_bytes': value('rd.bytes'), 'read_requests': value('rd.reqs'),
            'write_bytes': value('wr.bytes'), 'write_requests': value('wr.reqs'),
            'errors_count': value('errors')}


def _nic(stats: dict[str, Any], n: int, macs: dict[str, str]) -> dict[str, Any]:
    words = {'bytes': 'octets', 'pkts': 'packets', 'errs': 'errors', 'drop': 'drop'}
    found: dict[str, Any] = {f'{way}_{ours}': stats.get(f'net.{n}.{way}.{theirs}', 0)
                             for way in ('rx', 'tx') for theirs, ours in words.items()}
    found.update(mac_address=macs.get(stats.get(f'net.{n}.name', ''), ''), rx_rate=None, tx_rate=None)
    return found
