"""Config drives, as a guest would read them."""

import os
import pathlib
import shutil
import subprocess

import pytest

from nova.virt import configdrive
from strata import errors

pytestmark = pytest.mark.skipif(shutil.which('xorriso') is None, reason='no xorriso')

FILES = {
    'openstack/latest/meta_data.json': b'{"uuid": "1"}',
    'openstack/latest/user_data': bytes(range(256)) * 200,
    'ec2/latest/meta-data.json': b'{}',
    'openstack/content/0000': b'a file with a plain name',
    'openstack/2012-08-10/A Longer name, with.dots and UPPER case.json': b'x',
}


def extract(drive, target):
    subprocess.run(['xorriso', '-osirrox', 'on', '-indev', f'stdio:{drive}', '-extract', '/', target], check=True,
                   capture_output=True)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob('*') if path.is_file()}


def test_a_drive_holds_its_files_under_the_label_guests_look_for(tmp_path):
    path = configdrive.build(FILES, str(tmp_path / 'drive.iso'))
    assert extract(path, tmp_path / 'out') == FILES
    assert pathlib.Path(path).read_bytes()[32808:32840].rstrip() == b'config-2'
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ['drive.iso', 'out']


def test_a_drive_is_replaced_whole(tmp_path):
    path = str(tmp_path / 'drive.iso')
    configdrive.build({'a': b'1'}, path)
    configdrive.build({'b': b'2'}, path)
    assert extract(path, tmp_path / 'out') == {'b': b'2'}


@pytest.mark.parametrize('name', ['../x', '/etc/x', 'a/../../x', '', 'a\0b'])
def test_a_name_cannot_lead_out_of_the_drive(tmp_path, name):
    with pytest.raises(errors.Invalid, match='no name for a file'):
        configdrive.build({name: b'x'}, str(tmp_path / 'drive.iso'))
    assert os.listdir(tmp_path) == []


def test_a_drive_has_a_largest_size(tmp_path):
    with pytest.raises(errors.Invalid, match='larger'):
        configdrive.build({'a': bytes(configdrive.LARGEST + 1)}, str(tmp_path / 'drive.iso'))
