"""Whether this host really runs guests under KVM.

``/dev/kvm`` may open, and libvirt may advertise KVM, on hosts where no guest
gets anywhere.  So a guest is started: a boot sector that switches the machine
off.  Where KVM works that takes half a second; the verdict is kept until the
host is booted anew or libvirt or QEMU change.
"""

import json
import logging
import os
import pathlib
import time

import libvirt

from nova.virt.libvirt.connection import Connection, Refused
from nova.virt.libvirt.xml import el, text
from strata import clock, green

LOG = logging.getLogger(__name__)

#: seconds from the start of the guest to its end; emulated KVM needs longer to reach the boot sector
PATIENCE = 5.0

# out 0x604, 0x2000: ACPI power off on QEMU's machines; then halt, should that fail
_CODE = bytes.fromhex('ba0406 b80020 ef f4 ebfd')
BOOT_SECTOR = _CODE.ljust(510, b'\0') + b'\x55\xaa'


def usable(connection: Connection, directory: str) -> bool:
    """The verdict, from ``directory`` or by trying."""
    if not os.path.exists('/dev/kvm'):
        return False
    if os.stat('/dev/kvm').st_mode & 0o060 != 0o060:
        LOG.warning('/dev/kvm is open to root only: libvirt then examines QEMU anew at every start of a '
                    'guest, which takes a minute; remedy: chgrp kvm /dev/kvm; chmod 660 /dev/kvm')
    kept = pathlib.Path(directory) / '.kvm'
    stamp = [pathlib.Path('/proc/sys/kernel/random/boot_id').read_text().strip(),
             connection.ask('getLibVersion'), connection.ask('getVersion')]
    try:
        known = json.loads(kept.read_text())
        if known['stamp'] == stamp:
            return bool(known['usable'])
    except (OSError, ValueError, KeyError):
        pass
    began = time.monotonic()
    verdict = _try(connection, directory)
    LOG.info('KVM %s (a trial took %.1f s)', 'works' if verdict else 'does not work here: QEMU emulates',
             time.monotonic() - began)
    kept.write_text(json.dumps({'stamp': stamp, 'usable': verdict}))
    return verdict


def _try(connection: Connection, directory: str) -> bool:
    sector = pathlib.Path(directory) / f'.probe-{os.getpid()}'
    sector.write_bytes(BOOT_SECTOR)
    id = clock.new_uuid()
    try:
        connection.ask('createXML', document(id, str(sector)), libvirt.VIR_DOMAIN_START_AUTODESTROY)
        return _ends(connection, id)
    except Refused as error:
        LOG.info('a guest under KVM did not start: %s', error)
        return False
    finally:
        sector.unlink(missing_ok=True)


def _ends(connection: Connection, id: str) -> bool:
    """Whether the guest switches itself off in time; ends it if not."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        try:
            domain = connection.ask('lookupByUUIDString', id)
            state, reason = connection.call(domain.state)
        except Refused:
            return True
        if state == libvirt.VIR_DOMAIN_SHUTOFF:
            return reason == libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN
        if state in (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_PAUSED):
            break
        green.sleep(0.1)
    try:
        connection.call(connection.ask('lookupByUUIDString', id).destroy)
    except Refused:
        LOG.debug('the trial guest is gone')
    return False


def document(id: str, sector: str) -> str:
    """The trial guest: the host's own processor, 32 MiB, and a boot sector for a disk."""
    return text(el(
        'domain',
        el('name', f'kvm-trial-{id[:8]}'), el('uuid', id), el('memory', 32, unit='MiB'), el('vcpu', 1),
        el('os', el('type', 'hvm', arch='x86_64', machine='pc'), el('boot', dev='hd')),
        el('features', el('acpi')),
        el('cpu', mode='host-passthrough'),
        el('on_poweroff', 'destroy'), el('on_reboot', 'destroy'), el('on_crash', 'destroy'),
        el('devices',
           el('disk', el('driver', name='qemu', type_='raw'), el('source', file=sector),
              el('target', dev='hda', bus='ide'), type_='file', device='disk'),
           el('controller', type_='usb', model='none'),
           el('memballoon', model='none'),
           el('video', el('model', type_='none'))),
        type_='kvm'))
