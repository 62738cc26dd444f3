"""keystone-manage and the daemon, as an operator runs them: real processes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keystone import conf as options
from keystone.auth import flow
from keystone.cmd import manage as command
from keystone.cmd.keystone import wire
from strata import errors, http
from strata.testing import ports, wait

ROOT = Path(__file__).parent.parent.parent
SECRET = 'the first word'

pytestmark = pytest.mark.probe      # processes take their time to start: not for the quick tier


@pytest.fixture
def etc(tmp_path):
    (tmp_path / 'keystone.conf').write_text(f"""
[database]
connection = sqlite:///{tmp_path}/keystone.sqlite
[api]
listen = 127.0.0.1
port = {ports.free_port()}
workers = 2
[fernet_tokens]
key_repository = {tmp_path}/fernet-keys
[credential]
key_repository = {tmp_path}/credential-keys
""")
    (tmp_path / 'api-paste.ini').write_text((ROOT / 'etc/keystone/api-paste.ini').read_text())
    return tmp_path


def manage(etc, *words, **environ):
    return subprocess.run([sys.executable, '-m', 'keystone.cmd.manage', '--config-file', f'{etc}/keystone.conf',
                           *words], cwd=ROOT, env={**os.environ, **environ}, text=True, capture_output=True,
                          timeout=60)


def good(etc, *words, **environ):
    done = manage(etc, *words, **environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def here(etc, *words):
    """A command in this process, which is quicker."""
    wired = wire(options.load('keystone-manage', [], files=[f'{etc}/keystone.conf']))
    try:
        command.run(wired, command.parser().parse_args(words))
    finally:
        wired.close()


def test_a_cloud_is_set_up_with_a_handful_of_commands_and_serves(etc):
    good(etc, 'db_sync')
    assert good(etc, 'db', 'version') == '0002\n'
    good(etc, 'fernet', 'setup')
    port = next(line.split()[-1] for line in (etc / 'keystone.conf').read_text().splitlines() if 'port' in line)
    url = f'http://127.0.0.1:{port}/v3'
    for _ in range(2):
        good(etc, 'bootstrap', '--bootstrap-public-url', url, '--bootstrap-internal-url', url,
             '--bootstrap-admin-url', url, OS_BOOTSTRAP_PASSWORD=SECRET)
    with subprocess.Popen([sys.executable, '-m', 'keystone.cmd.keystone', '--config-file', f'{etc}/keystone.conf'],
                          cwd=ROOT, stderr=subprocess.DEVNULL) as daemon:
        try:
            client = http.Client(timeout=10)

            def answers():
                try:
                    return client.request('GET', url).status_code == 200
                except Exception:
                    return False

            wait.until(answers, 30)
            auth = {'auth': {'identity': {'methods': ['password'], 'password': {'user': {
                'name': 'admin', 'domain': {'name': 'Default'}, 'password': SECRET}}},
                'scope': {'project': {'name': 'admin', 'domain': {'name': 'Default'}}}}}
            tokens = [client.request('POST', f'{url}/auth/tokens', json=auth) for _ in range(4)]
            assert {answer.status_code for answer in tokens} == {201}
            token = tokens[0].headers['X-Subject-Token']
            entries = tokens[0].json()['token']['catalog']
            assert [len(entry['endpoints']) for entry in entries] == [3]
            for _ in range(4):      # whichever process answers
                assert client.request('GET', f'{url}/users', token=token).status_code == 200
        finally:
            daemon.terminate()
            assert daemon.wait(30) == 0


def test_bootstrapping_again_lets_the_administrator_back_in(etc):
    here(etc, 'db', 'sync')
    here(etc, 'fernet', 'setup')
    conf = options.load('keystone', [], files=[f'{etc}/keystone.conf'])
    for secret in (SECRET, 'another'):
        here(etc, 'bootstrap', '--bootstrap-password', secret, '--bootstrap-username', 'root')
        wired = wire(conf)
        wired.memory.look()
        auth = {'identity': {'methods': ['password'], 'password': {'user': {
            'name': 'root', 'domain': {'id': 'default'}, 'password': secret}}}, 'scope': {'system': {'all': True}}}
        assert ('admin' in dict(map(reversed, flow.authenticate(wired, auth, None).subject.roles)))
        wired.close()


def test_a_bootstrap_without_a_password_says_what_is_missing(etc):
    here(etc, 'db', 'sync')
    done = manage(etc, 'bootstrap', OS_BOOTSTRAP_PASSWORD='')
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        'keystone-manage: A password for the administrator is needed: --bootstrap-password or '
        'OS_BOOTSTRAP_PASSWORD.']


def test_keys_are_for_their_owner_only_and_rotate(etc):
    here(etc, 'fernet', 'setup')
    here(etc, 'fernet', 'setup')
    repository = etc / 'fernet-keys'
    assert sorted(path.name for path in repository.iterdir()) == ['0', '1']
    staged = (repository / '0').read_bytes()
    here(etc, 'fernet', 'rotate')
    assert sorted(path.name for path in repository.iterdir()) == ['0', '1', '2']
    assert (repository / '2').read_bytes() == staged
    good(etc, 'fernet_rotate')      # the older spelling
    assert sorted(path.name for path in repository.iterdir()) == ['0', '2', '3']
    assert stat.S_IMODE(repository.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in repository.iterdir()} == {0o600}


def test_rotating_what_was_never_set_up_is_refused(etc):
    (etc / 'fernet-keys').mkdir()
    with pytest.raises(errors.Invalid, match='set the repository up first'):
        here(etc, 'fernet', 'rotate')


def test_a_missing_configuration_file_is_named(tmp_path):
    done = manage(tmp_path, 'db', 'sync')
    assert done.returncode == 1 and 'keystone.conf' in done.stderr
    assert 'Traceback' not in done.stderr
