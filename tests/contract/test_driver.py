"""One suite for every hypervisor driver: fake in memory, fake in a directory, libvirt's test driver, QEMU."""

import dataclasses
import importlib.util
import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile
import uuid

import pytest

from nova.virt import configdrive, images
from nova.virt.driver import Capacity, Guest, ImageRef, Nic, PowerState, Unbuildable, UnknownGuest, Volume
from nova.virt.fake import FakeDriver, empty_qcow2
from nova.virt.hardware import BadHardware
from strata import errors
from strata.testing import wait
from tests import hypervisor

RUNNING, PAUSED, SHUTDOWN = PowerState.RUNNING, PowerState.PAUSED, PowerState.SHUTDOWN
NOSTATE, SUSPENDED = PowerState.NOSTATE, PowerState.SUSPENDED

NUMBERS = itertools.count(1)


class Bench:
    """A driver under test, guests for it, and what it takes to look behind it."""

    def __init__(self, make, directory, image=None, libvirtd=None):
        self._make = make
        self._drivers = []
        self._image = image
        self.directory = pathlib.Path(directory)
        self.libvirtd = libvirtd
        self.driver = self.another()
        self.made = []

    def another(self):
        """A second driver over the same guests, as after a restart."""
        driver = self._make()
        driver.init_host()
        self._drivers.append(driver)
        return driver

    def guest(self, **values):
        number = next(NUMBERS)
        guest = Guest(**{
            'id': str(uuid.uuid4()), 'name': f'instance-{number:08x}', 'title': f'server {number}',
            'vcpus': 1, 'ram_mb': 128, 'root_gb': 1, 'image': self.image(), **values})
        self.made.append(guest.id)
        return guest

    def spawned(self, **values):
        guest = self.guest(**values)
        self.driver.spawn(guest)
        return guest

    def image(self, **properties):
        path = self._image
        if path is None:
            path = str(self.directory / 'base.qcow2')
            if not os.path.exists(path):
                pathlib.Path(path).write_bytes(empty_qcow2(64 << 20))
        return ImageRef('base', path, 'qcow2', 64 << 20, properties=properties)

    def tap(self):
        name = f'tap{next(NUMBERS)}'
        if self.libvirtd is not None:
            self.libvirtd.tap(name)
        return name

    def volume(self, **values):
        path = self.directory / f'volume-{next(NUMBERS)}'
        with path.open('wb') as file:
            file.truncate(16 << 20)
        return Volume(id=str(uuid.uuid4())[:20], path=str(path), **values)

    def needs(self, feature):
        if feature not in self.driver.supports:
            pytest.skip(f'this hypervisor has no {feature}')

    def close(self):
        for id in self.made:
            self.driver.destroy(id)
        for driver in self._drivers:
            driver.close()


@pytest.fixture(scope='session')
def libvirtd():
    """A libvirtd of our own, the instances folder in its directory."""
    reason = hypervisor.lacking()
    if reason:
        if os.environ.get('CI') == 'true':
            pytest.fail(reason)
        pytest.skip(reason)
    directory = tempfile.mkdtemp(prefix='virt-', dir='/var/tmp')
    daemon = hypervisor.Libvirtd(directory)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope='session')
def tiny_image(libvirtd):
    return hypervisor.build_image(libvirtd.directory)


def fake_bench(request, tmp_path):
    memory = FakeDriver(hostname='node1')
    return Bench(lambda: memory, tmp_path)


def directory_bench(request, tmp_path):
    return Bench(lambda: FakeDriver(str(tmp_path / 'state'), hostname='node1'), tmp_path)


def in_process_bench(request, tmp_path):
    from nova.virt.libvirt.driver import LibvirtDriver
    return Bench(lambda: LibvirtDriver(str(tmp_path / 'instances'), uri='test:///default'), tmp_path)


def qemu_bench(request, tmp_path):
    from nova.virt.libvirt.driver import LibvirtDriver
    daemon = request.getfixturevalue('libvirtd')
    image = request.getfixturevalue('tiny_image')
    instances = str(daemon.directory / 'instances')
    return Bench(lambda: LibvirtDriver(instances, uri=daemon.uri, virt_type='qemu'), tmp_path, image, daemon)


needs_library = pytest.mark.skipif(importlib.util.find_spec('libvirt') is None, reason='no libvirt library')


@pytest.fixture(params=[
    pytest.param(fake_bench, id='fake'),
    pytest.param(directory_bench, id='fake-directory'),
    pytest.param(in_process_bench, id='libvirt-test', marks=[pytest.mark.libvirt, needs_library]),
    pytest.param(qemu_bench, id='qemu', marks=[pytest.mark.qemu, pytest.mark.root, needs_library]),
])
def bench(request, tmp_path):
    made = request.param(request, tmp_path)
    yield made
    made.close()


# -- a guest's life ------------------------------------------------------------------------------

def test_a_spawned_guest_runs_and_is_listed(bench):
    guest = bench.spawned()
    assert bench.driver.power_state(guest.id) is RUNNING
    assert bench.driver.guests()[guest.id] is RUNNING


def test_spawning_twice_makes_one_guest(bench):
    guest = bench.spawned()
    bench.driver.spawn(guest)
    assert list(bench.driver.guests()).count(guest.id) == 1


def test_spawning_a_guest_that_is_off_starts_it(bench):
    guest = bench.spawned()
    bench.driver.stop(guest.id, timeout=0)
    bench.driver.spawn(guest)
    assert bench.driver.power_state(guest.id) is RUNNING


def test_destroying_leaves_nothing_and_may_be_repeated(bench):
    guest = bench.spawned()
    bench.driver.destroy(guest.id)
    bench.driver.destroy(guest.id)
    assert guest.id not in bench.driver.guests()
    assert bench.driver.power_state(guest.id) is NOSTATE
    assert not list(bench.directory.rglob(f'*{guest.id}*'))


@pytest.mark.parametrize('verb', ['stop', 'pause', 'suspend'])
def test_a_guest_is_destroyed_from_any_state(bench, verb):
    guest = bench.spawned()
    getattr(bench.driver, verb)(guest.id, **({'timeout': 0} if verb == 'stop' else {}))
    bench.driver.destroy(guest.id)
    assert guest.id not in bench.driver.guests()


def test_every_verb_about_no_guest_says_so(bench):
    absent, driver = bench.guest(), bench.driver
    for call in (lambda: driver.start(absent), lambda: driver.stop(absent.id), lambda: driver.reboot(absent),
                 lambda: driver.reboot(absent, hard=True), lambda: driver.pause(absent.id),
                 lambda: driver.unpause(absent.id), lambda: driver.suspend(absent.id),
                 lambda: driver.resume(absent), lambda: driver.console_output(absent.id),
                 lambda: driver.diagnostics(absent.id)):
        with pytest.raises(UnknownGuest):
            call()
    assert absent.id not in driver.guests()


def test_stop_and_start_may_be_repeated(bench):
    guest, driver = bench.spawned(), bench.driver
    for _ in range(2):
        driver.stop(guest.id, timeout=0)
        assert driver.power_state(guest.id) is SHUTDOWN
    for _ in range(2):
        driver.start(guest)
        assert driver.power_state(guest.id) is RUNNING


def test_a_hard_reboot_ends_in_running_from_any_state(bench):
    guest, driver = bench.spawned(), bench.driver
    driver.reboot(guest, hard=True)
    assert driver.power_state(guest.id) is RUNNING
    driver.pause(guest.id)
    driver.reboot(guest, hard=True)
    assert driver.power_state(guest.id) is RUNNING
    driver.stop(guest.id, timeout=0)
    driver.reboot(guest, hard=True)
    assert driver.power_state(guest.id) is RUNNING


def test_a_guest_that_is_off_takes_no_soft_reboot(bench):
    guest = bench.spawned()
    bench.driver.stop(guest.id, timeout=0)
    with pytest.raises(errors.Conflict):
        bench.driver.reboot(guest)


def test_pause_and_unpause_may_be_repeated(bench):
    guest, driver = bench.spawned(), bench.driver
    for _ in range(2):
        driver.pause(guest.id)
        assert driver.power_state(guest.id) is PAUSED
    for _ in range(2):
        driver.unpause(guest.id)
        assert driver.power_state(guest.id) is RUNNING


def test_suspend_and_resume_may_be_repeated(bench):
    guest, driver = bench.spawned(), bench.driver
    for _ in range(2):
        driver.suspend(guest.id)
        assert driver.power_state(guest.id) is SUSPENDED
        assert driver.guests()[guest.id] is SUSPENDED
    for _ in range(2):
        driver.resume(guest)
        assert driver.power_state(guest.id) is RUNNING


def test_verbs_that_make_no_sense_are_refused(bench):
    guest, driver = bench.spawned(), bench.driver
    driver.suspend(guest.id)
    for call in (lambda: driver.start(guest), lambda: driver.pause(guest.id),
                 lambda: driver.unpause(guest.id)):
        with pytest.raises(errors.Conflict):
            call()
    driver.stop(guest.id, timeout=0)
    assert driver.power_state(guest.id) is SHUTDOWN
    for call in (lambda: driver.pause(guest.id), lambda: driver.suspend(guest.id),
                 lambda: driver.resume(guest)):
        with pytest.raises(errors.Conflict):
            call()


def test_guests_outlive_the_driver(bench):
    guest = bench.spawned()
    bench.driver.pause(guest.id)
    again = bench.another()
    assert again.power_state(guest.id) is PAUSED
    again.unpause(guest.id)
    assert bench.driver.power_state(guest.id) is RUNNING


def test_changes_of_state_are_told(bench):
    told = []
    bench.driver.on_lifecycle(lambda id, state: told.append((id, state)))
    guest = bench.spawned()
    wait.until(lambda: (guest.id, RUNNING) in told)
    bench.driver.pause(guest.id)
    wait.until(lambda: (guest.id, PAUSED) in told)
    bench.driver.stop(guest.id, timeout=0)
    wait.until(lambda: (guest.id, SHUTDOWN) in told)


def test_the_base_of_a_guest_is_in_use_as_long_as_it_is_there(bench):
    guest = bench.spawned()
    assert guest.image.path in bench.driver.images_in_use()
    bench.driver.stop(guest.id, timeout=0)
    assert guest.image.path in bench.another().images_in_use()
    bench.driver.destroy(guest.id)
    assert guest.image.path not in bench.driver.images_in_use()


def test_the_base_is_never_written(bench):
    base = pathlib.Path(bench.image().path)
    before, owner = base.read_bytes(), base.stat().st_uid
    bench.driver.stop(bench.spawned().id, timeout=0)
    assert base.read_bytes() == before
    assert base.stat().st_uid == owner


# -- what cannot be built ------------------------------------------------------------------------

def test_an_image_property_with_a_bad_value_is_refused_by_its_name(bench):
    guest = bench.guest(image=bench.image(hw_disk_bus='floppy'))
    with pytest.raises(BadHardware, match='hw_disk_bus'):
        bench.driver.spawn(guest)
    assert guest.id not in bench.driver.guests()


def test_an_image_larger_than_the_root_disk_is_refused(bench):
    image = dataclasses.replace(bench.image(), virtual_size=3 << 30)
    guest = bench.guest(image=image, root_gb=2)
    with pytest.raises(images.TooLarge):
        bench.driver.spawn(guest)
    assert guest.id not in bench.driver.guests()


def test_a_failed_spawn_leaves_nothing_behind(bench):
    first = bench.spawned()
    guest = bench.guest(name=first.name)
    if isinstance(bench.driver, FakeDriver):
        bench.driver.fail('spawn', error='Unbuildable')
    with pytest.raises(Unbuildable) as refused:
        bench.driver.spawn(guest)
    for word in (first.id, first.name, os.uname().nodename, 'domain'):      # for the owner's eyes
        assert word not in str(refused.value)
    assert guest.id not in bench.driver.guests()
    assert bench.driver.power_state(first.id) is RUNNING
    assert not list(bench.directory.rglob(f'*{guest.id}*'))


# -- plugging ------------------------------------------------------------------------------------

def macs(driver, guest):
    return [nic['mac_address'] for nic in driver.diagnostics(guest.id)['nic_details']]


def test_a_card_is_attached_once_and_detached_once(bench):
    bench.needs('nics')
    first = Nic('port-1', 'fa:16:3e:00:00:01', bench.tap(), mtu=1450)
    guest, driver = bench.spawned(nics=(first,)), bench.driver
    second = Nic('port-2', 'fa:16:3e:00:00:02', bench.tap())
    for _ in range(2):
        driver.attach_nic(guest.id, second)
        assert sorted(macs(driver, guest)) == [first.mac, second.mac]
    driver.stop(guest.id, timeout=0)
    for _ in range(2):
        driver.detach_nic(guest.id, second.mac)
    driver.start(guest)
    assert macs(driver, guest) == [first.mac]


def test_a_volume_is_attached_once_and_detached_once(bench):
    bench.needs('volumes')
    guest, driver, volume = bench.spawned(), bench.driver, bench.volume()
    assert [driver.attach_volume(guest.id, volume) for _ in range(2)] == ['vdb', 'vdb']
    assert driver.attach_volume(guest.id, bench.volume()) == 'vdc'
    with pytest.raises(errors.Conflict):
        driver.attach_volume(guest.id, bench.volume(device='vdc'))
    driver.stop(guest.id, timeout=0)
    for _ in range(2):
        driver.detach_volume(guest.id, volume.id)
    assert driver.diagnostics(guest.id)['num_disks'] == 2


def test_a_verb_the_driver_lacks_is_said_to_be_unsupported(bench):
    guest, driver = bench.spawned(), bench.driver
    verbs = {'nics': lambda: driver.detach_nic(guest.id, 'fa:16:3e:00:00:09'),
             'volumes': lambda: driver.detach_volume(guest.id, 'none')}
    for feature, call in verbs.items():
        if feature in driver.supports:
            call()
        else:
            with pytest.raises(errors.Unsupported):
                call()


def test_a_snapshot_stands_on_nothing(bench):
    bench.needs('snapshot')
    guest = bench.spawned()
    target = str(bench.directory / 'snapshot.qcow2')
    bench.driver.snapshot(guest.id, target)
    declared = images.Declared(id='snapshot', format='qcow2')
    assert images.inspect(declared, target) == 1 << 30
    assert bench.driver.power_state(guest.id) is RUNNING


# -- numbers -------------------------------------------------------------------------------------

def test_capacity_counts_what_runs(bench):
    before = bench.driver.capacity()
    assert isinstance(before, Capacity)
    assert before.vcpus > 0 and before.ram_mb > 0 and before.disk_gb > 0
    assert before.cpu_info['arch'] and 'load average' in before.uptime
    bench.spawned()
    after = bench.driver.capacity()
    assert after.running == before.running + 1
    if after.hypervisor_type != 'TEST':      # libvirt's test driver counts no processors
        assert after.vcpus_used == before.vcpus_used + 1


def test_diagnostics_have_one_shape(bench):
    guest = bench.spawned()
    told = bench.driver.diagnostics(guest.id)
    assert set(told) == {'state', 'driver', 'hypervisor', 'hypervisor_os', 'uptime', 'config_drive',
                         'num_cpus', 'num_nics', 'num_disks', 'cpu_details', 'memory_details',
                         'nic_details', 'disk_details'}
    assert told['state'] == 'running'
    assert told['config_drive'] is False


def test_the_console_is_bounded(bench):
    guest = bench.spawned()
    assert len(bench.driver.console_output(guest.id, limit=10)) <= 10
    assert bench.driver.console_output(guest.id, limit=0) == b''


# -- a real machine ------------------------------------------------------------------------------

@pytest.fixture
def machine(request, tmp_path):
    made = qemu_bench(request, tmp_path)
    yield made
    made.close()


def ready(bench, guest, times=1):
    """Wait for the guest's last word of a boot."""
    def said():
        return bench.driver.console_output(guest.id).count(b'guest: ready') >= times
    wait.until(said, timeout=90, message='the guest does not boot')


def drive(directory, guest_id):
    """A config drive with a user-data script."""
    return configdrive.build({
        'openstack/latest/meta_data.json': b'{"uuid": "%s", "hostname": "web.example"}' % guest_id.encode(),
        'openstack/latest/user_data': b'#!/bin/sh\necho hello from user data\n',
    }, str(directory / 'drive.iso'))


@pytest.mark.qemu
@pytest.mark.root
@needs_library
@pytest.mark.timeout(400)
def test_a_real_guest_boots_and_obeys(machine):
    driver = machine.driver
    guest = machine.guest(ephemeral_gb=1, swap_mb=16)
    guest = dataclasses.replace(guest, config_drive=drive(machine.directory, guest.id))
    driver.spawn(guest)
    ready(machine, guest)
    said = driver.console_output(guest.id)
    assert b'hello from user data' in said
    assert b'guest: disk vda 1024 MiB' in said

    volume = machine.volume()
    driver.attach_volume(guest.id, volume)
    wait.until(lambda: b'added, 16 MiB' in driver.console_output(guest.id), timeout=60)
    driver.detach_volume(guest.id, volume.id)
    wait.until(lambda: b'removed' in driver.console_output(guest.id), timeout=60)      # it says so a moment later

    driver.reboot(guest, timeout=60)      # soft: the guest is asked
    ready(machine, guest, times=2)
    assert driver.console_output(guest.id).count(b'hello from user data') == 1
    driver.stop(guest.id, timeout=60)
    assert driver.console_output(guest.id).count(b'guest: stopping') == 2
    assert driver.power_state(guest.id) is SHUTDOWN


@pytest.mark.qemu
@pytest.mark.root
@needs_library
def test_what_happened_while_libvirtd_was_away_is_told_when_it_is_back(machine):
    driver, daemon = machine.driver, machine.libvirtd
    died, lived = machine.spawned(), machine.spawned()
    told = []
    wait.until(lambda: driver.guests()[died.id] is RUNNING)
    driver.on_lifecycle(lambda id, state: told.append((id, state)))
    daemon.kill_daemon()
    with pytest.raises(errors.Unavailable):
        driver.guests()
    daemon.kill_guest(died.name)
    daemon.start_daemon()
    wait.until(lambda: [state for id, state in told if id == died.id and state is not RUNNING], timeout=30,
               message='no word after the reconnection')
    assert driver.guests()[lived.id] is RUNNING
    driver.start(died)
    assert driver.power_state(died.id) is RUNNING


@pytest.mark.qemu
@pytest.mark.root
@needs_library
def test_what_a_killed_build_left_is_listed_and_cleared_away(machine):
    guest = machine.guest()
    folder = machine.libvirtd.directory / 'instances' / guest.id
    folder.mkdir()
    (folder / 'disk.new').write_bytes(b'half')
    assert machine.driver.guests()[guest.id] is NOSTATE
    machine.driver.destroy(guest.id)
    assert guest.id not in machine.driver.guests()
    assert not folder.exists()


@pytest.mark.qemu
@pytest.mark.root
@needs_library
def test_kvm_is_believed_only_after_a_trial(machine):
    from nova.virt.libvirt.driver import LibvirtDriver
    driver = LibvirtDriver(str(machine.libvirtd.directory / 'instances'), uri=machine.libvirtd.uri,
                           virt_type='auto')
    driver.init_host()
    guest = machine.spawned()
    kind = subprocess.run(['virsh', '-c', machine.libvirtd.uri, 'dumpxml', guest.name], check=True,
                          capture_output=True, text=True).stdout
    assert "type='qemu'" in kind
    assert all(state is not NOSTATE for state in driver.guests().values())
    driver.close()


@pytest.mark.qemu
@pytest.mark.root
@needs_library
def test_a_console_log_that_only_root_may_read_is_read_through_libvirt(machine):
    from nova.virt.libvirt import console
    guest, connection = machine.spawned(), machine.driver._connection
    folder = console.Folder(str(machine.libvirtd.directory / 'instances' / guest.id))
    pathlib.Path(folder.console + '.0').write_bytes(b'x' * 200_000 + b'the end')
    for _ in range(2):
        assert console._read_as_libvirt(connection, folder.console + '.0', 10) == b'xxxthe end'
    assert len(console._read_as_libvirt(connection, folder.console + '.0', 1 << 20)) == 200_007
    assert connection.ask('listAllStoragePools', 0) == []
