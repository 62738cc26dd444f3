"""What hostile, broken or lying images meet in the cache of base images."""

import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import time

import pytest

from nova.virt import disks, images
from nova.virt.driver import ImageRef
from nova.virt.fake import empty_qcow2
from nova.virt.images import BadImage, Cache, Damaged, Declared
from strata import errors, green, shell

MIB, GIB = 1 << 20, 1 << 30
GOOD = empty_qcow2(GIB)
needs_qemu_img = pytest.mark.skipif(shutil.which('qemu-img') is None, reason='no qemu-img')


@pytest.fixture
def cache(tmp_path):
    return Cache(str(tmp_path / 'base'))


def declared(content, format='qcow2', **values):
    return Declared(**{'id': 'image-1', 'format': format, 'size': len(content), 'hash_algo': 'sha512',
                       'hash_value': hashlib.sha512(content).hexdigest(), **values})


def opener(content, piece=65536):
    return lambda: iter([content[at:at + piece] for at in range(0, len(content), piece)])


def leftovers(cache):
    return sorted(path.name for path in cache._path.glob('*')) + sorted(
        path.name for path in cache._path.glob('.*'))


def altered(offset, data, content=GOOD):
    return content[:offset] + data + content[offset + len(data):]


# -- the good ------------------------------------------------------------------------------------

def test_a_verified_image_is_kept_read_only_and_fetched_once(cache):
    first = cache.fetch(declared(GOOD, properties={'hw_disk_bus': 'scsi'}, min_disk_gb=1), opener(GOOD))
    second = cache.fetch(declared(GOOD), lambda: pytest.fail('fetched again'))
    assert first.path == second.path
    assert (first.format, first.virtual_size, first.min_disk_gb) == ('qcow2', GIB, 1)
    assert first.properties == {'hw_disk_bus': 'scsi'}
    assert pathlib.Path(first.path).read_bytes() == GOOD
    assert os.stat(first.path).st_mode & 0o777 == 0o444


def test_a_raw_image_is_as_large_as_its_file(cache):
    content = b'\xeb\x3c' + os.urandom(3 * MIB)
    assert cache.fetch(declared(content, 'raw'), opener(content)).virtual_size == len(content)


def test_concurrent_fetches_of_one_image_happen_once(cache):
    opened = []

    def slow():
        opened.append(1)
        for at in range(0, len(GOOD), 65536):
            green.sleep(0.01)
            yield GOOD[at:at + 65536]

    found = green.Pool(8).map(lambda _: cache.fetch(declared(GOOD), slow).path, range(8))
    assert len(opened) == 1
    assert len(set(found)) == 1


def test_a_fetch_that_failed_is_tried_again_by_the_next(cache):
    def broken():
        yield GOOD[:1000]
        raise errors.Unavailable(service='image')

    with pytest.raises(errors.Unavailable):
        cache.fetch(declared(GOOD), broken)
    assert leftovers(cache) == []
    assert cache.fetch(declared(GOOD), opener(GOOD)).virtual_size == GIB


def test_an_image_that_changed_under_its_id_is_fetched_anew(cache):
    cache.fetch(declared(GOOD), opener(GOOD))
    other = empty_qcow2(2 * GIB)
    assert cache.fetch(declared(other), opener(other)).virtual_size == 2 * GIB


def test_a_file_nobody_vouches_for_is_not_used(cache):
    path = pathlib.Path(cache.fetch(declared(GOOD), opener(GOOD)).path)
    path.with_suffix('.json').unlink()
    path.unlink()
    path.write_bytes(b'half a download')
    assert pathlib.Path(cache.fetch(declared(GOOD), opener(GOOD)).path).read_bytes() == GOOD


# -- the damaged ---------------------------------------------------------------------------------

@pytest.mark.parametrize('arrives', [GOOD[:-1], GOOD + b'x', altered(len(GOOD) - 1, b'x')],
                         ids=['short', 'long', 'altered'])
def test_what_is_not_what_was_stored_is_refused(cache, arrives):
    with pytest.raises(Damaged):
        cache.fetch(declared(GOOD), opener(arrives))
    assert leftovers(cache) == []


def test_a_checksum_counts_where_there_is_no_other_hash(cache):
    only = {'hash_algo': None, 'hash_value': None}
    cache.fetch(declared(GOOD, checksum=hashlib.md5(GOOD).hexdigest(), **only), opener(GOOD))
    with pytest.raises(Damaged):
        cache.fetch(declared(GOOD, id='image-2', checksum='0' * 32, **only), opener(GOOD))


def test_an_endless_download_ends_at_the_declared_size(cache):
    def endless():
        while True:
            yield bytes(MIB)

    with pytest.raises(Damaged, match='more than'):
        cache.fetch(declared(b'', size=4 * MIB), endless)
    with pytest.raises(Damaged, match='more than'):
        Cache(str(cache._path), largest_gb=0).fetch(declared(b'', size=None), endless)
    assert leftovers(cache) == []


# -- the hostile ---------------------------------------------------------------------------------

HOSTILE = {
    'a backing file': (altered(8, struct.pack('>QI', 512, 11), altered(512, b'/etc/shadow')), 'backing'),
    'a data file': (altered(72, struct.pack('>Q', 4)), 'data_file|features'),
    'encryption': (altered(32, struct.pack('>I', 2)), 'encryption'),
    'unknown features': (altered(72, struct.pack('>Q', 1 << 40)), 'features'),
    'extended L2 entries': (altered(72, struct.pack('>Q', 16)), 'features'),
    'the mark of corruption': (altered(72, struct.pack('>Q', 2)), 'features'),
    'version 1': (altered(4, struct.pack('>I', 1)), 'version'),
    'version 9': (altered(4, struct.pack('>I', 9)), 'version'),
    'a disk of 8 EiB': (altered(24, struct.pack('>Q', 1 << 63)), 'larger than'),
    'a disk of 2 PiB': (altered(24, struct.pack('>Q', 1 << 51)), 'larger than'),
}


@pytest.mark.parametrize('trick', HOSTILE)
def test_a_qcow2_is_refused_for(cache, trick):
    content, reason = HOSTILE[trick]
    with pytest.raises(BadImage, match=reason):
        cache.fetch(declared(content), opener(content))
    assert leftovers(cache) == []


VMDK = (b'KDMV' + struct.pack('<IIQQQQ', 1, 3, 2048, 128, 1, 20)).ljust(512, b'\0') + (
    b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "/etc/shadow" 0\n').ljust(MIB, b'\0')
VHD = b'conectix'.ljust(MIB, b'\0')
VHDX = b'vhdxfile'.ljust(MIB, b'\0')
VDI = (b'\0' * 64 + struct.pack('<I', 0xbeda107f)).ljust(MIB, b'\0')
QED = b'QED\0'.ljust(MIB, b'\0')
LUKS = b'LUKS\xba\xbe\x00\x01'.ljust(MIB, b'\0')


@pytest.mark.parametrize('content', [GOOD, VMDK, VHD, VDI, QED, LUKS],
                         ids=['qcow2', 'vmdk', 'vhd', 'vdi', 'qed', 'luks'])
def test_what_is_declared_raw_must_not_be_something_else(cache, content):
    with pytest.raises(BadImage, match='declared as raw'):
        cache.fetch(declared(content, 'raw'), opener(content))
    assert leftovers(cache) == []


@pytest.mark.parametrize('content', [b'#!/bin/sh\n'.ljust(MIB), VMDK, VHDX, b'', b'QFI\xfb'],
                         ids=['script', 'vmdk', 'vhdx', 'nothing', 'four bytes'])
def test_what_is_declared_qcow2_must_be_one(cache, content):
    with pytest.raises(BadImage):
        cache.fetch(declared(content), opener(content))
    assert leftovers(cache) == []


@pytest.mark.parametrize('format', ['vmdk', 'vhd', 'vhdx', 'vdi', 'qed', 'ploop', 'docker', ''])
def test_formats_that_can_name_other_files_are_not_taken_at_all(cache, format):
    with pytest.raises(BadImage, match='not supported'):
        cache.fetch(declared(VMDK, format), lambda: pytest.fail('fetched'))


@pytest.mark.parametrize('id', ['../../etc/cron.d/x', '/etc/passwd', '', '.hidden', 'a/b', 'a\0b', 'x' * 200])
def test_an_id_cannot_lead_out_of_the_cache(cache, id):
    with pytest.raises(BadImage, match='no image id'):
        cache.fetch(declared(GOOD, id=id), lambda: pytest.fail('fetched'))


@pytest.mark.parametrize('algorithm', ['crc32', 'shake_128', '../x'])
def test_an_unknown_hash_vouches_for_nothing(cache, algorithm):
    with pytest.raises(BadImage, match='algorithm'):
        cache.fetch(declared(GOOD, hash_algo=algorithm, hash_value='00'), opener(GOOD))


def test_an_image_larger_than_the_disk_of_its_flavor_is_refused(cache):
    image = cache.fetch(declared(GOOD), opener(GOOD))
    images.check_fits(image, 1)
    images.check_fits(image, 0)
    with pytest.raises(images.TooLarge):
        images.check_fits(ImageRef('x', image.path, 'qcow2', GIB + 1), 1)


# -- expiry --------------------------------------------------------------------------------------

def test_only_what_is_unused_and_old_expires(tmp_path):
    cache = Cache(str(tmp_path), expire_after=100)
    paths = {name: cache.fetch(declared(GOOD, id=name), opener(GOOD)).path for name in ('used', 'fresh', 'old')}
    long_ago = time.time() - 1000
    for name in ('used', 'old'):
        os.utime(paths[name], (long_ago, long_ago))
    (tmp_path / '.fetch-abandoned').write_bytes(b'x')
    os.utime(tmp_path / '.fetch-abandoned', (long_ago, long_ago))
    assert cache.expire({paths['used']}) == ['old']
    assert sorted(path.name for path in tmp_path.iterdir()) == ['fresh.json', 'fresh.qcow2', 'used.json',
                                                                 'used.qcow2']


def test_what_was_fetched_for_a_guest_that_is_not_made_yet_does_not_expire(tmp_path):
    class Job:
        """A build under way."""
    cache, job = Cache(str(tmp_path), expire_after=0), Job()
    path = cache.fetch(declared(GOOD), opener(GOOD), holder=job).path
    assert cache.expire(set()) == [] and os.path.exists(path)
    del job
    assert cache.expire(set()) == ['image-1'] and not os.path.exists(path)


# -- qemu-img ------------------------------------------------------------------------------------

@needs_qemu_img
def test_an_overlay_names_the_format_of_its_base_and_leaves_it_alone(cache, tmp_path):
    base = cache.fetch(declared(GOOD), opener(GOOD))
    disks.overlay(str(tmp_path / 'disk'), base, 3 * GIB)
    disks.overlay(str(tmp_path / 'disk'), base, 3 * GIB)      # made once
    told = subprocess.run(['qemu-img', 'info', '--output=json', tmp_path / 'disk'], check=True, text=True,
                          capture_output=True).stdout
    assert '"backing-filename-format": "qcow2"' in told
    assert f'"virtual-size": {3 * GIB}' in told
    assert pathlib.Path(base.path).read_bytes() == GOOD


@needs_qemu_img
def test_a_guest_that_writes_a_qcow2_header_on_its_raw_disk_gains_nothing(cache, tmp_path):
    content = bytes(MIB)
    base = cache.fetch(declared(content, 'raw'), opener(content))
    disks.overlay(str(tmp_path / 'disk'), base, 0)
    trick = tmp_path / 'trick'
    trick.write_bytes(HOSTILE['a backing file'][0][:MIB])
    subprocess.run(['qemu-img', 'dd', '-f', 'raw', '-O', 'raw', f'if={trick}', f'of={tmp_path}/content'],
                   check=True)
    subprocess.run(['qemu-io', '-f', 'qcow2', '-c', f'write -s {tmp_path}/content 0 64k', tmp_path / 'disk'],
                   check=True, stdout=subprocess.DEVNULL)
    disks.flatten(str(tmp_path / 'copy'), str(tmp_path / 'disk'))
    with pytest.raises(errors.Error):
        # the copy's content is a qcow2 header; the copy itself is a sound qcow2
        images.inspect(declared(content, 'raw'), str(tmp_path / 'copy'))
    assert images.inspect(declared(content), str(tmp_path / 'copy')) == MIB


@needs_qemu_img
def test_a_qcow2_with_absurd_tables_is_stopped_by_the_limits(tmp_path):
    bomb = tmp_path / 'bomb'
    # an L1 table of the greatest size that qemu takes, in a file of holes
    bomb.write_bytes(altered(36, struct.pack('>I', 4194304), altered(24, struct.pack('>Q', 1 << 50))))
    os.truncate(bomb, 1 << 33)
    began = time.monotonic()
    with pytest.raises(shell.CommandFailed):
        disks.flatten(str(tmp_path / 'copy'), str(bomb), limits=shell.Limits(cpu_seconds=2, address_space=GIB))
    assert time.monotonic() - began < 30
    assert not (tmp_path / 'copy').exists()


@needs_qemu_img
def test_ephemeral_and_swap_disks_are_formatted_and_sparse(tmp_path):
    disks.ephemeral(str(tmp_path / 'eph'), 64 * MIB)
    disks.swap(str(tmp_path / 'swap'), 64 * MIB)
    assert (tmp_path / 'eph').open('rb').read(1082)[1080:] == b'\x53\xef'
    assert (tmp_path / 'swap').open('rb').read(4096)[4086:] == b'SWAPSPACE2'
    assert os.stat(tmp_path / 'eph').st_blocks * 512 < 16 * MIB
