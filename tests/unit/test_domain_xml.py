"""The domain XML that guests get, held against files in ``golden/``.

``python -m tests.unit.test_domain_xml`` writes those anew, to be looked at before they are committed.
"""

import dataclasses
import pathlib

import pytest

from nova.virt.driver import Guest, ImageRef, Nic, Volume
from nova.virt.hardware import BadHardware
from nova.virt.libvirt.domain import Folder, Settings, document

pytestmark = pytest.mark.libvirt

GOLDEN = pathlib.Path(__file__).parent / 'golden'
SCHEMA = pathlib.Path('/usr/share/libvirt/schemas/domain.rng')

ID = '11111111-2222-4333-8444-555555555555'
FOLDER = Folder(f'/var/lib/nova/instances/{ID}')
BASE = ImageRef('base', '/var/lib/nova/instances/_base/base.qcow2', 'qcow2', 1 << 30)
TAP = Nic('port-1', 'fa:16:3e:00:00:01', 'tap0a1b2c3d-4e', mtu=1450)
BRIDGE = Nic('port-2', 'fa:16:3e:00:00:02', 'tap-2', kind='bridge', bridge='br-lan', model='e1000')
PLAIN = Guest(id=ID, name='instance-0000002a', title='web <1> & co', vcpus=1, ram_mb=256, root_gb=1, image=BASE,
              nics=(TAP,))
EMULATED = Settings(virt_type='qemu', cpu_mode='custom', cpu_model='Nehalem')
REAL = Settings(virt_type='kvm', cpu_mode='host-passthrough')


def with_properties(**properties):
    return dataclasses.replace(PLAIN, image=dataclasses.replace(BASE, properties=properties))


CASES = {
    'plain': (PLAIN, EMULATED),
    'kvm': (dataclasses.replace(PLAIN, vcpus=4), REAL),
    'everything': (dataclasses.replace(
        with_properties(hw_disk_bus='scsi', hw_qemu_guest_agent='yes', hw_video_model='virtio', hw_video_ram='64',
                        hw_watchdog_action='reset', hw_cpu_cores='2', hw_serial_port_count='2',
                        hw_pointer_model='usbtablet', hw_rng_model='none', hw_cdrom_bus='virtio'),
        vcpus=4, ephemeral_gb=2, swap_mb=512, config_drive='/tmp/drive.iso', nics=(TAP, BRIDGE),
        volumes=(Volume('11112222-3333', '/dev/loop7'), Volume('4444', '/srv/volume', 'qcow2', bus='virtio',
                                                               read_only=True)),
        metadata={'project_id': 'p\x01', 'flavor': 'm1.tiny'}), REAL),
    'q35': (dataclasses.replace(with_properties(hw_machine_type='q35', hw_firmware_type='uefi'),
                                config_drive='/tmp/drive.iso'), EMULATED),
    'kernel': (dataclasses.replace(with_properties(hw_video_model='none', os_type='windows'), kernel='/k/vmlinuz',
                                   ramdisk='/k/initrd', cmdline='console=ttyS0 root=/dev/vda'), EMULATED),
    'from-volume': (dataclasses.replace(PLAIN, image=None, volumes=(
        Volume('data', '/srv/data'), Volume('root', '/srv/root', boot=True))), EMULATED),
}


@pytest.mark.parametrize('name', CASES)
def test_a_guest_becomes_this_document(name):
    guest, settings = CASES[name]
    assert document(guest, FOLDER, settings) == (GOLDEN / f'domain-{name}.xml').read_text()


@pytest.mark.skipif(not SCHEMA.exists(), reason='no schemas of libvirt here')
@pytest.mark.parametrize('name', CASES)
def test_every_document_keeps_libvirts_schema(name):
    from lxml import etree
    schema = etree.RelaxNG(etree.parse(str(SCHEMA)))
    schema.assertValid(etree.fromstring(document(*CASES[name][:1], FOLDER, CASES[name][1])))


@pytest.mark.parametrize('name, value', [
    ('hw_disk_bus', 'floppy'), ('hw_vif_model', 'virtio; rm -rf /'), ('hw_machine_type', "pc'/><kernel>/etc/shadow"),
    ('hw_serial_port_count', '99'), ('hw_video_ram', '-1'), ('hw_cpu_sockets', '1e9'), ('hw_rng_model', ''),
    ('hw_qemu_guest_agent', 'maybe'), ('os_command_line', 'a\nb'), ('hw_architecture', 'aarch64'),
    ('hw_vm_mode', 'xen'), ('hw_cpu_cores', '3'),
])
def test_a_property_with_a_bad_value_is_refused_by_its_name(name, value):
    with pytest.raises(BadHardware, match=name):
        document(with_properties(**{name: value}), FOLDER, EMULATED)


def test_properties_of_others_are_passed_over():
    assert document(with_properties(os_distro='debian', hw_something_new='x'), FOLDER, EMULATED) == document(
        PLAIN, FOLDER, EMULATED)


if __name__ == '__main__':
    for name, (guest, settings) in CASES.items():
        (GOLDEN / f'domain-{name}.xml').write_text(document(guest, FOLDER, settings))
