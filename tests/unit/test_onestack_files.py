"""What onestack leaves behind: clouds.yaml and openrc in a home, the settings of a cloud, lines on a screen."""

import os
import stat
import subprocess
import sys

import pytest
import yaml

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(CHECKOUT, 'tools'))

from launcher import cli, clientfiles, configs, host, progress, report, settings  # noqa: E402
from launcher.settings import Person, Settings, Trouble  # noqa: E402

MINE = """\
# my clouds
clouds:
  work:
    auth: {auth_url: 'https://work.example/v3', username: me, password: "it's: #mine"}
    region_name: R1
cache:
  expiration_time: 3600
"""


@pytest.fixture
def cloud(tmp_path):
    return Settings(str(tmp_path / 'data'), 21000, 'fake', True, {'admin': "a'd$min", 'demo': 'd e m o'})


@pytest.fixture
def who(tmp_path):
    home = tmp_path / 'home'
    home.mkdir()
    return Person('me', os.geteuid(), os.getegid(), str(home))


def clouds_yaml(who):
    return os.path.join(who.home, '.config', 'openstack', 'clouds.yaml')


def put(who, text):
    os.makedirs(os.path.dirname(clouds_yaml(who)), exist_ok=True)
    with open(clouds_yaml(who), 'w', encoding='utf-8') as file:
        file.write(text)


def get(who):
    with open(clouds_yaml(who), encoding='utf-8') as file:
        return file.read()


class TestCloudsYaml:
    def test_it_is_made_readable_by_its_owner_only(self, cloud, who):
        written = clientfiles.write_all(cloud, who)
        assert written.clouds == clouds_yaml(who)
        for each in (written.clouds, written.openrc):
            assert stat.S_IMODE(os.stat(each).st_mode) == 0o600
            assert os.stat(each).st_uid == who.uid
        assert stat.S_IMODE(os.stat(os.path.dirname(written.clouds)).st_mode) == 0o700

    def test_a_member_and_an_administrator_are_in_it(self, cloud, who):
        clientfiles.write_all(cloud, who)
        made = yaml.safe_load(get(who))['clouds']
        assert {name: entry['auth']['username'] for name, entry in made.items()} == {
            'onestack': 'demo', 'onestack-admin': 'admin'}
        assert made['onestack-admin']['auth']['password'] == "a'd$min"
        assert made['onestack']['auth']['auth_url'] == 'http://127.0.0.1:21000/v3'

    def test_what_was_in_it_stays(self, cloud, who):
        put(who, MINE)
        clientfiles.write_all(cloud, who)
        after, before = yaml.safe_load(get(who)), yaml.safe_load(MINE)
        assert after['clouds']['work'] == before['clouds']['work']
        assert after['cache'] == before['cache']
        assert set(after['clouds']) == {'work', 'onestack', 'onestack-admin'}

    @pytest.mark.parametrize('indent', ['  ', '    ', ''], ids=['two', 'four', 'none'])
    def test_comments_and_layout_stay(self, cloud, who, indent):
        mine = MINE if indent == '  ' else f'clouds:   # all\n{indent or " "}work:\n{indent or " "}  profile: x   # y\n'
        put(who, mine)
        clientfiles.write_all(cloud, who)
        assert set(yaml.safe_load(get(who))['clouds']) == {'work', 'onestack', 'onestack-admin'}
        kept = [line for line in get(who).splitlines() if line in mine.splitlines()]
        assert kept == mine.splitlines()
        clientfiles.remove(cloud, who)
        assert get(who) == mine

    def test_clouds_on_one_line_are_kept_too(self, cloud, who):
        put(who, 'clouds: {work: {profile: x}}\n')
        clientfiles.write_all(cloud, who)
        assert set(yaml.safe_load(get(who))['clouds']) == {'work', 'onestack', 'onestack-admin'}

    def test_a_second_time_changes_nothing(self, cloud, who):
        put(who, MINE)
        clientfiles.write_all(cloud, who)
        once = get(who)
        clientfiles.write_all(cloud, who)
        assert get(who) == once

    def test_a_link_stays_a_link(self, cloud, who, tmp_path):
        (tmp_path / 'dotfiles').write_text(MINE)
        os.makedirs(os.path.dirname(clouds_yaml(who)))
        os.symlink(tmp_path / 'dotfiles', clouds_yaml(who))
        clientfiles.write_all(cloud, who)
        assert os.path.islink(clouds_yaml(who))
        assert 'onestack-admin' in (tmp_path / 'dotfiles').read_text()

    def test_our_own_entries_are_brought_up_to_date(self, cloud, who):
        clientfiles.write_all(cloud, who)
        clientfiles.write_all(settings.Settings(cloud.data_dir, 22000, 'fake', True, cloud.secrets), who)
        assert yaml.safe_load(get(who))['clouds']['onestack']['auth']['auth_url'] == 'http://127.0.0.1:22000/v3'

    def test_clouds_of_one_host_have_entries_and_openrc_of_their_own(self, cloud, who, tmp_path):
        put(who, MINE)
        clientfiles.write_all(cloud, who)
        alone = get(who)
        other = Settings(str(tmp_path / 'class room'), 31000, 'fake', True, {'admin': 'x', 'demo': 'y'})
        written = clientfiles.write_all(other, who)
        assert (written.member, written.admin) == ('onestack-class-room', 'onestack-class-room-admin')
        assert os.path.basename(written.openrc) == 'openrc-class-room'
        urls = {name: entry['auth']['auth_url'] for name, entry in yaml.safe_load(get(who))['clouds'].items()}
        assert urls['onestack'] == urls['onestack-admin'] == 'http://127.0.0.1:21000/v3'
        assert urls[written.member] == urls[written.admin] == 'http://127.0.0.1:31000/v3'
        assert set(MINE.splitlines()) <= set(get(who).splitlines())
        clientfiles.remove(other, who)
        assert get(who) == alone
        assert not os.path.exists(written.openrc)
        clientfiles.write_all(other, who)
        clientfiles.remove(cloud, who)
        assert clientfiles.write_all(other, who).member == written.member, 'a name that is in use stays'

    def test_an_entry_of_the_person_s_own_is_not_ours(self, cloud, who):
        put(who, 'clouds:\n  onestack:\n    auth: {auth_url: "http://elsewhere/v3", username: me}\n')
        assert clientfiles.write_all(cloud, who).member == 'onestack-data'
        clientfiles.remove(cloud, who)
        assert yaml.safe_load(get(who))['clouds']['onestack']['auth']['username'] == 'me'

    def test_removing_takes_out_ours_and_nothing_else(self, cloud, who):
        put(who, MINE)
        clientfiles.write_all(cloud, who)
        clientfiles.remove(cloud, who)
        assert yaml.safe_load(get(who)) == yaml.safe_load(MINE)
        assert not os.path.exists(os.path.join(os.path.dirname(clouds_yaml(who)), 'openrc'))

    def test_a_file_that_held_only_ours_goes(self, cloud, who):
        clientfiles.write_all(cloud, who)
        clientfiles.remove(cloud, who)
        assert not os.path.exists(clouds_yaml(who))

    def test_an_openrc_of_somebody_else_stays(self, who):
        put(who, MINE)
        rc = os.path.join(os.path.dirname(clouds_yaml(who)), 'openrc')
        with open(rc, 'w', encoding='utf-8') as file:
            file.write('export OS_CLOUD=work\n')
        clientfiles.remove(cloud, who)
        assert os.path.exists(rc)

    @pytest.mark.parametrize('broken', [
        'clouds: [a', 'clouds:\n\t- x', '- a\n- b\n', 'just words\n', 'clouds: [a, b]\n',
    ], ids=['unclosed', 'tab', 'list', 'text', 'clouds in a list'])
    def test_a_broken_file_is_left_alone_and_named_in_one_line(self, cloud, who, broken):
        put(who, broken)
        with pytest.raises(Trouble) as caught:
            clientfiles.write_all(cloud, who)
        assert 'clouds.yaml' in str(caught.value)
        assert 'Remedy:' in str(caught.value)
        assert '\n' not in str(caught.value)
        assert get(who) == broken

    @pytest.mark.parametrize('empty', ['', '\n', '# nothing yet\n', 'clouds:\n'])
    def test_an_empty_file_is_filled(self, cloud, who, empty):
        put(who, empty)
        clientfiles.write_all(cloud, who)
        assert set(yaml.safe_load(get(who))['clouds']) == {'onestack', 'onestack-admin'}


class TestOpenrc:
    @pytest.mark.parametrize('words, user, password', [('', 'demo', 'd e m o'), ('admin', 'admin', "a'd$min")])
    def test_a_shell_reads_it(self, cloud, who, words, user, password):
        rc = clientfiles.write_all(cloud, who).openrc
        said = subprocess.run(
            ['bash', '-c', f'. {rc} {words}; printf "%s\\n" "$OS_USERNAME" "$OS_PROJECT_NAME" "$OS_PASSWORD" '
                           '"$OS_AUTH_URL"'],
            capture_output=True, text=True, check=True, env={'PATH': os.environ['PATH']})
        assert said.stdout.splitlines() == [user, user, password, 'http://127.0.0.1:21000/v3']


class TestSettings:
    def test_they_are_kept_between_commands(self, cloud):
        os.makedirs(cloud.data_dir)
        cloud.save()
        assert settings.load(cloud.data_dir) == cloud
        assert stat.S_IMODE(os.stat(cloud.path('settings.json')).st_mode) == 0o600

    def test_without_them_there_is_no_cloud(self, tmp_path):
        assert settings.load(str(tmp_path)) is None

    def test_what_cannot_be_read_is_one_line_with_a_remedy(self, cloud):
        os.makedirs(cloud.data_dir)
        with open(cloud.path('settings.json'), 'w', encoding='utf-8') as file:
            file.write('{"data_dir": ')
        with pytest.raises(Trouble, match='settings.json cannot be read.*Remedy'):
            settings.load(cloud.data_dir)

    def test_a_second_up_keeps_passwords_and_ports(self, tmp_path):
        where = str(tmp_path)
        first = settings.settle(where, port_base=23000, driver='fake', server=True)
        first.save()
        second = settings.settle(where, port_base=None, driver=None, server=True)
        assert second == first
        assert set(first.secrets) == {'admin', 'demo', 'glance', 'nova', 'swift', 'swift_hash', 'sync_realm'}
        assert len(set(first.secrets.values())) == 7

    def test_where_images_go_is_kept_until_it_is_said_anew(self, tmp_path):
        def up(image_store=None):
            made = settings.settle(str(tmp_path), port_base=None, driver='fake', server=True, image_store=image_store)
            made.save()
            return made
        assert [up(word).image_store for word in (None, 'swift', None, 'file')] == ['file', 'swift', 'swift', 'file']
        for word in ('swift', 'file'):
            options = configs.glance(up(word))['glance_store']
            assert (options['default_store'], options['stores']) == (word, 'file, swift')

    def test_guests_have_names_of_their_own_but_keep_those_they_have(self, cloud, tmp_path, monkeypatch):
        # a host may have a cloud in the usual place already
        monkeypatch.setattr(settings, 'default_data_dir', lambda: str(tmp_path / 'usual'))
        def names(where):
            made = settings.settle(where, port_base=None, driver='fake', server=True)
            return made.instance_names, configs.nova(made)['DEFAULT']['instance_name_template']
        first, second = names(str(tmp_path / 'first')), names(str(tmp_path / 'second'))
        assert first != second and first[0] == first[1] and first[0].endswith('-%08x')
        assert set(names(settings.default_data_dir())) == {'instance-%08x'}
        os.makedirs(cloud.data_dir)
        cloud.save()      # of a time when all clouds had those
        assert set(names(cloud.data_dir)) == {'instance-%08x'}

    def test_a_cloud_does_not_change_its_driver(self, tmp_path):
        settings.settle(str(tmp_path), port_base=None, driver='fake', server=True).save()
        with pytest.raises(Trouble, match='uses the fake driver.*Remedy'):
            settings.settle(str(tmp_path), port_base=None, driver='libvirt', server=True)

    def test_the_usual_ports_or_a_row_of_them(self, cloud):
        usual = Settings('/nowhere')
        assert [usual.port(name) for name in ('identity', 'image', 'compute', 'network')] == [5000, 9292, 8774, 9696]
        assert sorted(cloud.port(name) for name in settings.PORTS) == list(range(21000, 21000 + len(settings.PORTS)))

    def test_a_file_is_replaced_whole(self, tmp_path):
        path = tmp_path / 'file'
        path.write_text('old')
        settings.write(str(path), 'new', mode=0o640)
        assert path.read_text() == 'new'
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert os.listdir(tmp_path) == ['file']


@pytest.fixture
def said(monkeypatch, tmp_path):
    """What would be run on the host, by which nothing comes of it."""
    commands = []

    def run(argv, **_):
        commands.append(list(argv))
        return subprocess.CompletedProcess(argv, argv[0] == 'pgrep', 'one\n' if 'list' in argv else '', '')
    monkeypatch.setattr(host, 'run', run)
    (tmp_path / 'units').mkdir()
    monkeypatch.setattr(host, 'UNITS', str(tmp_path / 'units'))
    (tmp_path / 'processes').mkdir()      # no cloud that is really up on this host has anything to do with it
    monkeypatch.setattr(host, 'PROCESSES', str(tmp_path / 'processes'))
    return commands


class TestHost:
    def test_a_reset_after_down_wakes_libvirt_to_take_its_guests_away(self, monkeypatch, cloud, said):
        os.makedirs(cloud.path('etc'))
        monkeypatch.setattr(host, 'has_systemd', lambda: False)
        monkeypatch.setattr(host, 'libvirt_answers', lambda: any('libvirtd' in argv for argv in said))
        monkeypatch.setattr(host.shutil, 'which', lambda _: '/usr/sbin/libvirtd')
        host.remove_guests(cloud, {'one', 'two'})
        assert [argv[3:] for argv in said if argv[3:4] in (['destroy'], ['undefine'])] == [
            ['destroy', 'one'], ['undefine', '--managed-save', '--nvram', 'one']]
        assert host.made(cloud) == {'libvirtd': True, 'virtlogd': True}      # to be stopped again

    def test_a_cloud_without_guests_wakes_nothing(self, monkeypatch, cloud, said):
        monkeypatch.setattr(host, 'libvirt_answers', lambda: False)
        host.remove_guests(cloud, set())
        assert said == []

    def test_a_reset_gives_the_unit_of_a_fake_cloud_back_too(self, monkeypatch, cloud, said, tmp_path):
        os.makedirs(cloud.path('log'))
        cloud.save()
        monkeypatch.setenv('HOME', str(tmp_path))
        monkeypatch.setattr(host, 'has_systemd', lambda: True)
        monkeypatch.setattr(host.os, 'geteuid', lambda: 0)
        monkeypatch.delenv('SUDO_UID', raising=False)
        host.start_parent(cloud)
        assert os.listdir(host.UNITS) == [host.unit_name(cloud)]
        assert cli.main(['reset', '--yes', '--data-dir', cloud.data_dir]) == 0
        assert os.listdir(host.UNITS) == []
        assert [argv[1] for argv in said] == ['daemon-reload', 'enable', 'disable', 'daemon-reload']

    def test_clouds_of_one_host_have_a_unit_each_and_leave_those_of_others_alone(self, monkeypatch, said, tmp_path):
        monkeypatch.setattr(host, 'has_systemd', lambda: True)
        monkeypatch.setattr(host.os, 'geteuid', lambda: 0)
        usual, other = Settings('/var/lib/onestack', driver='fake'), Settings(str(tmp_path / 'a $1'), driver='fake')
        assert [host.unit_name(usual), usual.tag] == ['onestack.service', '']
        for each in (usual, other):
            host.start_parent(each)
        assert sorted(os.listdir(host.UNITS)) == [f'onestack-{other.tag}.service', 'onestack.service']
        host.stop_parent(other)
        host.give_back(other)
        assert os.listdir(host.UNITS) == ['onestack.service']
        assert [argv[-1] for argv in said if 'disable' in argv] == [host.unit_name(other)]

    def test_a_unit_of_the_name_that_once_all_had_is_replaced_by_its_own_cloud_only(self, monkeypatch, said, tmp_path):
        monkeypatch.setattr(host, 'has_systemd', lambda: True)
        monkeypatch.setattr(host.os, 'geteuid', lambda: 0)
        first, second = Settings(str(tmp_path / 'first')), Settings(str(tmp_path / 'second'))
        settings.write(os.path.join(host.UNITS, 'onestack.service'), host.unit(first))
        host.start_parent(second)
        assert host.units(first) == ['onestack.service']
        host.start_parent(first)
        assert sorted(os.listdir(host.UNITS)) == sorted(map(host.unit_name, (first, second)))

    def test_a_log_daemon_that_ran_before_us_goes_on(self, monkeypatch, cloud, said):
        os.makedirs(cloud.path('etc'))
        monkeypatch.setattr(host, 'has_systemd', lambda: False)
        monkeypatch.setattr(host, 'libvirt_answers', lambda: any('libvirtd' in argv for argv in said))
        run = host.run
        monkeypatch.setattr(host, 'run', lambda argv, **more: subprocess.CompletedProcess(argv, 0, '', '')
                            if argv[0] == 'pgrep' else run(argv, **more))
        host._run_libvirt(cloud)
        host.stop_libvirt(cloud)
        assert [argv[0] for argv in said] == ['libvirtd', 'pkill'] and said[-1][-1] == 'libvirtd'

    @pytest.mark.parametrize('driver', ['libvirt', 'fake'])
    def test_what_another_cloud_needs_is_left_to_it(self, monkeypatch, cloud, said, tmp_path, driver):
        other = Settings(str(tmp_path / 'other'), driver=driver)
        for each in (cloud, other):
            os.makedirs(each.data_dir)
            each.save()
        host._note(cloud, libvirtd=True, user=True, kvm=False)
        parent = subprocess.Popen([sys.executable, '-c', 'print(flush=True); input()', '-m', 'launcher.parent',
                                   other.data_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        parent.stdout.readline()      # before, the kernel may not know its command line yet
        os.symlink(f'/proc/{parent.pid}', tmp_path / 'processes' / str(parent.pid))
        try:
            host.give_back(cloud)
        finally:
            parent.communicate(b'\n', timeout=20)
        if driver == 'libvirt':
            assert (host.made(other), said) == ({'libvirtd': True, 'user': True}, [])
        else:
            assert host.made(other) == {} and [argv[0] for argv in said] == ['pkill', 'userdel']

    def test_a_unit_bears_blanks_and_signs_in_paths(self):
        lines = host.unit(Settings('/srv/my 50% "cloud" $x')).splitlines()
        assert [line for line in lines if line.startswith('ExecStart=')][0].endswith(
            ' "-m" "launcher.parent" "/srv/my 50%% \\"cloud\\" $$x"')
        assert 'Environment="LC_ALL=C.UTF-8"' in lines

    def test_a_parent_whose_number_another_program_has_by_now_is_not_taken_for_ours(self, cloud):
        os.makedirs(cloud.path('run'))
        with open(cloud.path('run', 'processes.json'), 'w', encoding='utf-8') as file:
            file.write(f'{{"parent": {os.getpid()}, "processes": []}}')
        assert host.parent_pid(cloud) is None
        assert not report.processes(cloud)


class TestProgress:
    def test_a_step_is_a_line_with_its_time_and_remark(self, capsys):
        shown = progress.Progress()
        with shown.step('Installing') as step:
            step.remark = '3 of them'
        [line] = capsys.readouterr().out.splitlines()
        assert line.split() == ['Installing', '0.0', 's', '(3', 'of', 'them)']
        assert [name for name, _ in shown.took] == ['Installing']

    def test_a_failed_step_says_so(self, capsys):
        with pytest.raises(Trouble), progress.Progress().step('Starting'):
            raise Trouble('no.')
        assert capsys.readouterr().out.split() == ['Starting', 'failed']


class TestCommand:
    def onestack(self, *words):
        return subprocess.run([sys.executable, '-m', 'launcher', *words], capture_output=True, text=True, env={
            **os.environ, 'PYTHONPATH': os.pathsep.join([CHECKOUT, os.path.join(CHECKOUT, 'tools')])})

    @pytest.mark.parametrize('command', ['status', 'down', 'logs'])
    def test_where_there_is_no_cloud_it_says_so_in_one_line(self, tmp_path, command):
        done = self.onestack(command, '--data-dir', str(tmp_path))
        assert done.returncode == 1
        assert done.stderr == f'onestack: there is no cloud in {tmp_path}. Remedy: "onestack up" makes one.\n'

    def test_a_reset_wants_to_be_confirmed(self, cloud):
        os.makedirs(cloud.data_dir)
        cloud.save()
        done = self.onestack('reset', '--data-dir', cloud.data_dir)
        assert (done.returncode, 'reset --yes' in done.stderr) == (1, True)
        assert os.path.exists(cloud.path('settings.json'))
