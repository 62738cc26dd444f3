"""The tiny image, booted by QEMU alone: no root, no libvirt; QEMU's user network plays DHCP and metadata."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest

from nova.virt import configdrive
from strata import green
from strata.testing import ports, wait
from tests import hypervisor

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(240), pytest.mark.skipif(
    shutil.which('qemu-system-x86_64') is None, reason='no qemu-system-x86_64')]

ID = '5f2b9c1e-1111-4222-8333-944455556666'
USER_DATA = '#!/bin/sh\necho ran >>/root/count\necho user data here\n'

#: answers one HTTP request on standard input, out of the files of a folder
SERVER = r"""
import os, sys
path = sys.stdin.readline().split()[1]
while sys.stdin.readline().strip():
    pass
name = os.path.join(sys.argv[1], path.strip('/'))
if os.path.isfile(name):
    body = open(name).read()
    head = 'HTTP/1.0 200 OK'
else:
    body, head = '', 'HTTP/1.0 404 Not Found'
sys.stdout.write(f'{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}')
"""


class Machine:
    """One QEMU process and what its guest says."""

    def __init__(self, directory, disk, *options):
        self.directory = directory
        self.console = directory / 'console.log'
        self.ssh_port = ports.free_port()
        self._monitor = str(directory / 'monitor')
        network = (f'user,id=n0,net=169.254.0.0/16,dhcpstart=169.254.0.15,host=169.254.0.2,dns=169.254.0.3,'
                   f'restrict=off,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22,'
                   f'guestfwd=tcp:169.254.169.254:80-cmd:{sys.executable} {directory}/server.py {directory}/tree')
        self.process = green.processes.Popen([
            'qemu-system-x86_64', '-accel', 'tcg', '-m', '192', '-display', 'none', '-no-user-config',
            '-serial', f'file:{self.console}', '-monitor', f'unix:{self._monitor},server=on,wait=off',
            '-drive', f'file={disk},format=qcow2,if=virtio', '-netdev', network,
            '-device', 'virtio-net-pci,netdev=n0', '-device', 'virtio-rng-pci', *options])

    def said(self):
        return self.console.read_text(errors='replace') if self.console.exists() else ''

    def wait_for(self, words, times=1, timeout=90):
        wait.until(lambda: self.said().count(words) >= times, timeout=timeout,
                   message=f'"{words}" in {self.said()[-1500:]}')

    def monitor(self, command):
        """One command to QEMU's own console; what it answered."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(self._monitor)
            said = b''
            for part in ('', command + '\n'):
                line.sendall(part.encode())
                said = b''
                while not said.endswith(b'(qemu) '):
                    said += line.recv(4096)
            return said.decode()

    def ssh(self, command, user='root'):
        return subprocess.run(
            ['ssh', '-q', '-F', 'none', '-i', self.directory / 'key', '-p', str(self.ssh_port), '-o',
             'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'BatchMode=yes',
             f'{user}@127.0.0.1', command], check=True, capture_output=True, text=True, timeout=60).stdout

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    return hypervisor.build_image(tmp_path_factory.mktemp('image'))


@pytest.fixture
def boot(image, tmp_path):
    """Boots machines from one overlay of 300 MiB; a key pair and a metadata tree are made first."""
    machines = []
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, tmp_path / 'disk',
                    '300M'], check=True)
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', tmp_path / 'key'], check=True)
    (tmp_path / 'server.py').write_text(SERVER)

    def start(*options):
        machine = Machine(tmp_path, tmp_path / 'disk', *options)
        machines.append(machine)
        return machine

    yield start
    for machine in machines:
        machine.end()


def metadata(directory, **values):
    key = (directory / 'key.pub').read_text()
    return json.dumps({'uuid': ID, 'meta': {'uuid': 'not this', 'hostname': 'nor this'},
                       'public_keys': {'mine': key}, 'hostname': 'web.example', 'name': 'web', **values})


def put(directory, tree):
    for name, text in tree.items():
        path = directory / 'tree' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_image_is_small(image):
    assert os.path.getsize(image) < 20_000_000


def test_a_guest_learns_from_openstack_metadata_and_obeys(boot, tmp_path):
    put(tmp_path, {'openstack/latest/meta_data.json': metadata(tmp_path),
                   'openstack/latest/user_data': USER_DATA})
    machine = boot()
    machine.wait_for('guest: ready')
    assert f'guest: metadata from openstack: id={ID} hostname=web keys=1' in machine.said()
    assert 'user data here' in machine.said()
    assert machine.ssh('hostname; id -un', user='debian').split() == ['web', 'debian']
    size = int(machine.ssh("df -m / | tail -n 1 | awk '{print $2}'"))
    assert 240 < size < 300      # the root has grown with the disk

    extra = tmp_path / 'extra.raw'
    with extra.open('wb') as file:
        file.truncate(50 << 20)
    machine.monitor(f'drive_add 0 file={extra},format=raw,if=none,id=x1')
    machine.monitor('device_add virtio-blk-pci,drive=x1,id=d1,serial=abc')
    machine.wait_for('guest: disk vdb added, 50 MiB')
    machine.monitor('device_del d1')
    machine.wait_for('guest: disk vdb removed')
    machine.monitor('netdev_add user,id=n1,net=10.9.0.0/24')
    machine.monitor('device_add virtio-net-pci,netdev=n1,id=c1')
    machine.wait_for('guest: eth1 has 10.9.0.15/24')

    machine.ssh('reboot')
    machine.wait_for('guest: ready', times=2)
    assert machine.ssh('cat /root/count').split() == ['ran']      # user data: once per instance
    machine.monitor('system_powerdown')
    machine.wait_for('guest: power button')
    assert machine.process.wait(timeout=60) == 0
    assert 'Emergency Remount complete' in machine.said()


def test_a_guest_learns_from_ec2_metadata_where_there_is_no_other(boot, tmp_path):
    put(tmp_path, {'latest/meta-data/instance-id': 'i-0000002a',
                   'latest/meta-data/hostname': 'old.example',
                   'latest/meta-data/public-keys/0/openssh-key': (tmp_path / 'key.pub').read_text(),
                   'latest/user-data': USER_DATA})
    machine = boot()
    machine.wait_for('guest: ready')
    assert 'guest: metadata from ec2: id=i-0000002a hostname=old keys=1' in machine.said()
    assert 'user data here' in machine.said()
    assert machine.ssh('hostname').strip() == 'old'


@pytest.mark.skipif(shutil.which('xorriso') is None, reason='no xorriso')
@pytest.mark.parametrize('bus', ['if=virtio,readonly=on', 'media=cdrom,if=ide'], ids=['disk', 'cdrom'])
def test_a_guest_prefers_its_config_drive(boot, tmp_path, bus):
    put(tmp_path, {'openstack/latest/meta_data.json': metadata(tmp_path, hostname='wrong.example')})
    drive = configdrive.build({
        'openstack/latest/meta_data.json': metadata(tmp_path, admin_pass='S3cret').encode(),
        'openstack/latest/user_data': USER_DATA.encode()}, str(tmp_path / 'drive.iso'))
    machine = boot('-drive', f'file={drive},format=raw,{bus}')
    machine.wait_for('guest: ready')
    assert f'guest: metadata from config-drive: id={ID} hostname=web keys=1' in machine.said()
    assert machine.ssh('cat /root/count').split() == ['ran']
    assert machine.ssh('grep -c :.6. /etc/shadow').strip() == '2'      # root, too, has a password now


def test_what_is_missing_is_named_with_the_remedy(tmp_path):
    tool = str(hypervisor.ROOT / 'tools/guest-image')
    script = pathlib.Path(tool).read_text().replace("'mkfs.vfat': 'dosfstools'", "'mkfs.nothing': 'dosfstools'")
    (tmp_path / 'guest-image').write_text(script)
    (tmp_path / 'guest').mkdir()
    done = subprocess.run([sys.executable, tmp_path / 'guest-image'], capture_output=True, text=True,
                          cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert 'mkfs.nothing' in done.stderr and 'apt-get install' in done.stderr and 'dosfstools' in done.stderr
