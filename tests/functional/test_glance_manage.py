"""glance-manage: the database is made, known by its version, and swept."""

import pytest

from glance.cmd import api, manage, registry


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / 'glance.conf'
    path.write_text(f'[DEFAULT]\nstate_path = {tmp_path}\n'
                    f'[database]\nconnection = sqlite:///{tmp_path}/glance.sqlite\n')
    return str(path)


@pytest.mark.parametrize('words', [['db', 'sync'], ['db_sync']])
def test_a_database_is_made_and_made_again(conf, capsys, words):
    assert manage.main(['--config-file', conf, 'db', 'version']) == 0
    assert capsys.readouterr().out == 'empty\n'
    for _ in range(2):
        assert manage.main(['--config-file', conf, *words]) == 0
    assert manage.main(['--config-file', conf, 'db_version']) == 0
    assert capsys.readouterr().out == '0001\n'
    assert manage.main(['--config-file', conf, 'db', 'sweep']) == 0
    assert capsys.readouterr().out == '0 blobs removed\n'


@pytest.mark.parametrize('main', [manage.main, api.main, registry.main])
def test_what_is_missing_is_said_in_one_line(tmp_path, capsys, main):
    path = tmp_path / 'glance.conf'
    path.write_text('[DEFAULT]\n')
    words = ['--config-file', str(path), *(['db', 'sync'] if main is manage.main else [])]
    assert main(words) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and '[database] connection' in told[0]


def test_a_missing_file_is_named(capsys):
    assert manage.main(['--config-file', '/nowhere/glance.conf', 'db', 'sync']) == 1
    assert '/nowhere/glance.conf' in capsys.readouterr().err
