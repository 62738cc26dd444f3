"""Cards and disks that come and go while a domain exists.

A running domain has two documents, the live one and the kept one.  Attaching
changes both at once; detaching looks at each, for a change cut short may have
reached only one.  A guest gives up a device when it gets round to it, so
detaching waits.
"""

import time
from collections.abc import Callable

import libvirt

from nova.virt import hardware
from nova.virt.driver import Nic, Volume
from nova.virt.libvirt import domain as documents
from nova.virt.libvirt.connection import Connection, Refused
from nova.virt.libvirt.xml import Element, parse, text
from strata import errors, green

#: seconds a guest has to give up a device, and after which it is asked again
PATIENCE = 30.0
ASK_AGAIN = 5.0

LIVE, KEPT = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG

Matches = Callable[[Element], bool]


def attach_nic(connection: Connection, domain: libvirt.virDomain, nic: Nic) -> None:
    """See ``Driver.attach_nic``."""
    _attach(connection, domain, 'interface', _with_mac(nic.mac), documents.nic(nic, hardware.Hardware()))


def detach_nic(connection: Connection, domain: libvirt.virDomain, mac: str) -> None:
    """See ``Driver.detach_nic``."""
    _detach(connection, domain, 'interface', _with_mac(mac))


def attach_volume(connection: Connection, domain: libvirt.virDomain, volume: Volume,
                  settings: documents.Settings) -> str:
    """See ``Driver.attach_volume``."""
    present = [one for xml in _documents(connection, domain) for one in xml.findall('devices/disk')]
    for one in present:
        if one.findtext('serial') == volume.id:
            return _target(one)
    bus = volume.bus or 'virtio'
    taken = {_target(one) for one in present}
    if volume.device in taken:
        raise errors.Conflict('Device {device} of guest {id} is taken.', device=volume.device,
                              id=domain.UUIDString())
    target = documents.Names(taken).take(bus, volume.device)
    element = documents.volume(volume, target, hardware.Hardware(hw_disk_bus=bus), settings)
    _attach(connection, domain, 'disk', _with_serial(volume.id), element)
    return target


def detach_volume(connection: Connection, domain: libvirt.virDomain, volume_id: str) -> None:
    """See ``Driver.detach_volume``."""
    _detach(connection, domain, 'disk', _with_serial(volume_id))


def _with_mac(mac: str) -> Matches:
    def matches(one: Element) -> bool:
        found = one.find('mac')
        return found is not None and found.get('address', '').lower() == mac.lower()
    return matches


def _with_serial(serial: str) -> Matches:
    return lambda one: one.findtext('serial') == serial


def _target(disk: Element) -> str:
    found = disk.find('target')
    return found.get('dev', '') if found is not None else ''


def _scopes(connection: Connection, domain: libvirt.virDomain) -> list[int]:
    """Which of the two documents this domain has at the moment."""
    return [LIVE, KEPT] if connection.call(domain.isActive) else [KEPT]


def _document(connection: Connection, domain: libvirt.virDomain, scope: int) -> Element:
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE if scope == KEPT else 0
    return parse(connection.call(domain.XMLDesc, flags))


def _documents(connection: Connection, domain: libvirt.virDomain) -> list[Element]:
    return [_document(connection, domain, scope) for scope in _scopes(connection, domain)]


def _find(connection: Connection, domain: libvirt.virDomain, scope: int, kind: str,
          matches: Matches) -> Element | None:
    found = _document(connection, domain, scope).findall(f'devices/{kind}')
    return next((one for one in found if matches(one)), None)


def _attach(connection: Connection, domain: libvirt.virDomain, kind: str, matches: Matches,
            element: Element) -> None:
    for scope in _scopes(connection, domain):
        if _find(connection, domain, scope, kind, matches) is None:
            connection.call(domain.attachDeviceFlags, text(element), scope)


def _detach(connection: Connection, domain: libvirt.virDomain, kind: str, matches: Matches) -> None:
    for scope in reversed(_scopes(connection, domain)):
        limit, asked = time.monotonic() + PATIENCE, 0.0
        while (found := _find(connection, domain, scope, kind, matches)) is not None:
            if time.monotonic() > limit:
                raise errors.Timeout(what=f'Guest {domain.UUIDString()}, asked to give up a device,')
            if time.monotonic() - asked > ASK_AGAIN:
                asked = time.monotonic()
                _ask(connection, domain, text(found), scope)
            green.sleep(0.1)


def _ask(connection: Connection, domain: libvirt.virDomain, xml: str, scope: int) -> None:
    try:
        connection.call(domain.detachDeviceFlags, xml, scope)
    except Refused as error:
        # gone in the meantime, or the guest is still busy with the last request
        if error.code not in (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_FAILED):
            raise
