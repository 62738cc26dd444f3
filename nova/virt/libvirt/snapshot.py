"""A copy of a guest's root disk as it is at one moment.

A running guest is copied by QEMU itself, by a backup job of libvirt: the copy
shows the disk as it was when the job began while the guest goes on, and
nothing about the guest's own disks changes, so a copy cut short leaves only a file.
"""

import os
import time

import libvirt

from nova.virt import disks
from nova.virt.libvirt.connection import Connection
from nova.virt.libvirt.domain import Folder
from nova.virt.libvirt.xml import Element, el, parse, text
from strata import errors, green

#: seconds a copy may take
PATIENCE = 7200.0


def take(connection: Connection, domain: libvirt.virDomain, folder: Folder, path: str) -> None:
    """Write the root disk to ``path`` as a qcow2 that stands on nothing."""
    if connection.call(domain.isActive):
        copy = os.path.join(folder.path, 'snapshot')
        try:
            _back_up(connection, domain, folder.root, copy)
            disks.flatten(path, copy)
        finally:
            if os.path.exists(copy):
                os.unlink(copy)
    else:
        disks.flatten(path, folder.root)


def _back_up(connection: Connection, domain: libvirt.virDomain, root: str, copy: str) -> None:
    if connection.call(domain.jobStats).get('operation') == libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        connection.call(domain.abortJob)      # of a worker that was killed
    if os.path.exists(copy):
        os.unlink(copy)
    # made by us, the file stays readable for us, whoever QEMU runs as
    disks.blank(copy, connection.call(domain.blockInfo, root)[0])
    xml = parse(connection.call(domain.XMLDesc, 0))
    wanted = el('domainbackup', el('disks', *(_disk(one, root, copy) for one in xml.findall('devices/disk'))),
                mode='push')
    connection.call(domain.backupBegin, text(wanted), None, libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL)
    limit = time.monotonic() + PATIENCE
    while connection.call(domain.jobInfo)[0] != libvirt.VIR_DOMAIN_JOB_NONE:
        if time.monotonic() > limit:
            connection.call(domain.abortJob)
            raise errors.Timeout(what=f'The copy of guest {domain.UUIDString()}')
        green.sleep(0.2)
    done = connection.call(domain.jobStats, libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if not done.get('success', True):
        raise errors.Error('Guest {id} could not be copied: {reason}', id=domain.UUIDString(),
                           reason=done.get('errmsg', 'the job failed'))


def _disk(one: Element, root: str, copy: str) -> Element:
    source, target = one.find('source'), one.find('target')
    name = target.get('dev') if target is not None else None
    if source is None or source.get('file') != root:
        return el('disk', name=name, backup='no')
    return el('disk', el('driver', type_='qcow2'), el('target', file=copy), name=name, backup='yes',
              type_='file')
