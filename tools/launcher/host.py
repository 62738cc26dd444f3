"""What ``up`` needs of the host, makes of it, and gives back: packages, the daemons' user, libvirt, the unit."""

import contextlib
import grp
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from launcher.settings import DAEMON_USER, Settings, Trouble, checkout, load, write

#: Debian packages by what they are for
PACKAGES = {
    'virtual machines': ['qemu-system-x86', 'qemu-utils', 'libvirt-daemon-system', 'libvirt-daemon-driver-qemu',
                         'libvirt-clients', 'python3-libvirt', 'xorriso'],
    'networks': ['dnsmasq-base', 'nftables', 'iproute2', 'conntrack'],
    'the guest image': ['busybox-static', 'dropbear-bin', 'e2fsprogs', 'mtools', 'dosfstools', 'syslinux',
                        'syslinux-common', 'cpio', 'kmod', 'openssh-client'],
}
UNITS = '/etc/systemd/system'
#: where the kernel shows what runs on this host
PROCESSES = '/proc'
#: of the cloud in the usual place; once of any
UNIT = 'onestack.service'
LIBVIRT = 'qemu:///system'
KVM = '/dev/kvm'
#: of a libvirtd that we start where no systemd does: without a system bus there is no polkit to ask
LIBVIRTD = """# written by onestack
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
"""


def run(argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; ``Trouble`` with the end of its output if it fails."""
    try:
        done = subprocess.run(list(argv), capture_output=True, text=True, timeout=timeout, check=False,
                              stdin=subprocess.DEVNULL, env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive',
                                                             'LC_ALL': 'C.UTF-8'})
    except FileNotFoundError as error:
        raise Trouble(f'{argv[0]} is not installed.', f'install the package that has {argv[0]}.') from error
    except subprocess.TimeoutExpired as error:
        raise Trouble(f'{" ".join(argv[:3])} did not end within {timeout:.0f} s.', 'try it by hand.') from error
    if check and done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Trouble(f'{" ".join(argv[:4])} failed: {" / ".join(last)}.', 'try it by hand.')
    return done


def missing_packages() -> list[str]:
    """Which of the packages are not installed."""
    wanted = [name for names in PACKAGES.values() for name in names]
    said = run(['dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\\n', *wanted], check=False).stdout
    there = {line.split()[0] for line in said.splitlines() if line.endswith(' installed')}
    return [name for name in wanted if name not in there]


def install(packages: Sequence[str]) -> None:
    """Install Debian packages."""
    if not shutil.which('apt-get'):
        raise Trouble('this is no Debian system, and something is missing.',
                      f'install what these Debian packages hold: {" ".join(packages)}.')
    run(['apt-get', '-q', 'update'], timeout=600)
    run(['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '--no-install-recommends', *packages],
        timeout=1800)


def has_systemd() -> bool:
    """Whether systemd runs this host."""
    return os.path.isdir('/run/systemd/system')


def made(settings: Settings) -> dict[str, bool]:
    """What we made on the host outside the data directory, or began to make: it is noted before it is done."""
    try:
        with open(settings.path('host.json'), encoding='utf-8') as file:
            return dict(json.load(file))
    except FileNotFoundError:
        return {}


def _note(settings: Settings, **what: bool) -> None:
    write(settings.path('host.json'), json.dumps({**made(settings), **what}), mode=0o600)


def _hand_over(settings: Settings) -> None:
    """Leave what we made to another cloud of real machines that is up: it needs it, and gives it back one day."""
    ours = {name: True for name, mine in made(settings).items() if mine}
    heir = _neighbour(settings) if ours else None
    if heir is not None:
        _note(heir, **ours)
        _note(settings, **dict.fromkeys(ours, False))


def _neighbour(settings: Settings) -> Settings | None:
    """Another cloud on this host whose daemons run, and which has real machines."""
    for pid in filter(str.isdigit, os.listdir(PROCESSES)):
        try:
            with open(os.path.join(PROCESSES, pid, 'cmdline'), 'rb') as file:
                words = [os.fsdecode(word) for word in file.read().split(b'\0')]
            if 'launcher.parent' not in words or settings.data_dir in words:
                continue
            other = load(words[words.index('launcher.parent') + 1])
        except (OSError, IndexError, Trouble):
            continue
        if other is not None and not other.fake:
            return other
    return None


# -- the daemons' user ---------------------------------------------------------------------------

def ensure_user(settings: Settings) -> None:
    """A system user for the daemons, in the groups that let it use libvirt and KVM."""
    try:
        pwd.getpwnam(DAEMON_USER)
    except KeyError:
        os.makedirs(settings.data_dir, mode=0o755, exist_ok=True)
        _note(settings, user=True)
        run(['useradd', '--system', '--user-group', '--home-dir', settings.data_dir, '--no-create-home',
             '--shell', '/usr/sbin/nologin', DAEMON_USER])
    groups = {entry.gr_name for entry in grp.getgrall()}
    wanted = [name for name in ('libvirt', 'kvm', 'libvirt-qemu') if name in groups]
    if wanted:
        run(['usermod', '-a', '-G', ','.join(wanted), DAEMON_USER])


def check_reach(settings: Settings) -> None:
    """The daemons' user must get at the data directory, so no folder above it may be closed."""
    test = ['runuser', '-u', DAEMON_USER, '--', 'test', '-r', settings.path('etc', 'nova.conf')]
    if run(test, check=False).returncode:
        raise Trouble(f'the user {DAEMON_USER} cannot reach {settings.data_dir}.',
                      'open the folders above it (chmod o+x), or choose another --data-dir.')


# -- libvirt -------------------------------------------------------------------------------------

def libvirt_answers() -> bool:
    """Whether libvirt's daemon is there."""
    try:
        return run(['virsh', '-c', LIBVIRT, 'version'], timeout=20, check=False).returncode == 0
    except Trouble:
        return False


def start_libvirt(settings: Settings) -> str:
    """Have libvirt run, and let the daemons in; returns how it came to."""
    _open_kvm(settings)
    how = _run_libvirt(settings)
    _check_access()
    return how


def _run_libvirt(settings: Settings) -> str:
    if libvirt_answers():
        return 'already running'
    if has_systemd():
        run(['systemctl', 'enable', '--now', 'libvirtd.service', 'virtlogd.socket'])
        how = 'by systemd'
    else:
        _run_virtlogd(settings)
        write(settings.path('etc', 'libvirtd.conf'), LIBVIRTD)
        _note(settings, libvirtd=True)
        run(['libvirtd', '-d', '-p', '/run/libvirtd.pid', '-f', settings.path('etc', 'libvirtd.conf')])
        how = 'by us'
    deadline = time.monotonic() + 20
    while not libvirt_answers():
        if time.monotonic() > deadline:
            raise Trouble('libvirtd does not answer.', 'see /var/log/libvirt, or start it by hand.')
        time.sleep(0.2)
    return how


def _run_virtlogd(settings: Settings) -> None:
    """One may run already, which is not ours to stop, or is since an earlier ``up``."""
    if not run(['pgrep', '-F', '/run/virtlogd.pid', 'virtlogd'], check=False).returncode:
        return
    _note(settings, virtlogd=True)
    if run(['virtlogd', '-d', '-p', '/run/virtlogd.pid'], check=False).returncode:
        _note(settings, virtlogd=False)


def _open_kvm(settings: Settings) -> None:
    """Leave /dev/kvm as udev would, where none runs.

    Open to root only, libvirt examines QEMU anew at every start of a guest: a minute each.
    """
    if os.path.exists(KVM) and not os.stat(KVM).st_mode & 0o060:
        _note(settings, kvm=True)
        shutil.chown(KVM, group='kvm')
        os.chmod(KVM, 0o660)


def _close_kvm(settings: Settings) -> None:
    if made(settings).get('kvm') and os.path.exists(KVM):
        os.chmod(KVM, 0o600)
        shutil.chown(KVM, group='root')
        _note(settings, kvm=False)


def _check_access() -> None:
    """The daemons' user must be let in: by polkit's rule for the group libvirt, or by the socket's mode."""
    refused = run(['runuser', '-u', DAEMON_USER, '--', 'virsh', '-c', LIBVIRT, 'version'], check=False)
    if refused.returncode:
        raise Trouble(f'libvirtd does not let the user {DAEMON_USER} in: {refused.stderr.strip()[-200:]}.',
                      'set auth_unix_rw = "none" in /etc/libvirt/libvirtd.conf, or start polkit; restart libvirtd.')


def stop_libvirt(settings: Settings) -> None:
    """Stop those of libvirt's daemons that we started, if no other cloud uses them."""
    _hand_over(settings)
    for daemon in ('libvirtd', 'virtlogd'):
        if made(settings).get(daemon):
            run(['pkill', '-F', f'/run/{daemon}.pid', daemon], check=False)
            _note(settings, **{daemon: False})


def guests(uuids: set[str], *, all: bool = True) -> list[str]:      # noqa: A002
    """Which of these UUIDs are domains of this host (running ones only, unless ``all``)."""
    if not libvirt_answers():
        return []
    said = run(['virsh', '-c', LIBVIRT, 'list', '--uuid', *(['--all'] if all else [])]).stdout
    return [word for word in said.split() if word in uuids]


def shut_down_guests(uuids: set[str], seconds: float = 60) -> int:
    """Shut guests down politely, pull the plug of those that do not listen; returns how many there were."""
    running = guests(uuids, all=False)
    for uuid in running:
        run(['virsh', '-c', LIBVIRT, 'shutdown', uuid], check=False)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and guests(uuids, all=False):
        time.sleep(0.5)
    for uuid in guests(uuids, all=False):
        run(['virsh', '-c', LIBVIRT, 'destroy', uuid], check=False)
    return len(running)


def remove_guests(settings: Settings, uuids: set[str]) -> None:
    """Take the domains away, with what libvirt keeps of them; it is woken for that where ``down`` stopped it."""
    if uuids and shutil.which('libvirtd'):
        _run_libvirt(settings)
    for uuid in guests(uuids):
        run(['virsh', '-c', LIBVIRT, 'destroy', uuid], check=False)
        run(['virsh', '-c', LIBVIRT, 'undefine', '--managed-save', '--nvram', uuid], check=False)


# -- networks ------------------------------------------------------------------------------------

def reset_networks(settings: Settings) -> None:
    """Give back every namespace, bridge, rule and sysctl that the network helper took."""
    if settings.fake or not os.path.isdir(settings.path('net-helper')):
        return
    run([sys.executable, '-m', 'nova.cmd.net_helper', '--reset', '--state-dir', settings.path('net-helper'),
         '--socket', settings.path('run', 'net-helper.sock')], timeout=120)


# -- the daemons themselves ----------------------------------------------------------------------

def busy_ports(settings: Settings, names: Sequence[str]) -> list[int]:
    """Ports of ours that somebody else listens on."""
    busy = []
    for name in names:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('0.0.0.0', settings.port(name)))      # noqa: S104
            except OSError:
                busy.append(settings.port(name))
    return busy


def environment() -> dict[str, str]:
    """What the daemons' parent is started with."""
    tree = checkout()
    return {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8',
            'PYTHONPATH': os.pathsep.join([tree, os.path.join(tree, 'tools')]), 'PYTHONDONTWRITEBYTECODE': '1'}


def start_parent(settings: Settings) -> None:
    """Start the parent: as a unit where systemd runs, else as a daemon of its own session."""
    if has_systemd() and not os.geteuid():
        name = unit_name(settings)
        for old in set(units(settings)) - {name}:
            run(['systemctl', 'disable', '--now', old], check=False)
            os.unlink(os.path.join(UNITS, old))
        write(os.path.join(UNITS, name), unit(settings))
        run(['systemctl', 'daemon-reload'])
        run(['systemctl', 'enable', '--now', name])
        return
    with open(settings.path('log', 'onestack.out'), 'ab') as out:
        subprocess.Popen([sys.executable, '-m', 'launcher.parent', settings.data_dir], stdin=subprocess.DEVNULL,
                         stdout=out, stderr=out, start_new_session=True, cwd='/', env=environment())


def unit_name(settings: Settings) -> str:
    """What this cloud's unit is called: several clouds of a host have one each."""
    return f'onestack-{settings.tag}.service' if settings.tag else UNIT


def units(settings: Settings) -> list[str]:
    """Which unit files there are that start this very cloud."""
    found = []
    for name in dict.fromkeys((unit_name(settings), UNIT)):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(UNITS, name), encoding='utf-8') as file:
            if any(line.startswith('ExecStart=') and line.endswith(f' {_word(settings.data_dir)}')
                   for line in file.read().splitlines()):
                found.append(name)
    return found


def unit(settings: Settings) -> str:
    """The systemd unit: brings cloud and servers back after a reboot."""
    variables = '\n'.join(f'Environment={_quoted(f"{key}={value}")}' for key, value in environment().items())
    command = ' '.join(map(_word, (sys.executable, '-m', 'launcher.parent', settings.data_dir)))
    which = f' ({settings.tag})' if settings.tag else ''
    return (f'[Unit]\nDescription=onestack: a cloud on one host{which}\nAfter=network-online.target libvirtd.service\n'
            f'Wants=network-online.target libvirtd.service\n\n'
            f'[Service]\n{variables}\nExecStart={command}\n'
            f'KillMode=mixed\nTimeoutStopSec=45\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n')


def _quoted(word: str) -> str:
    """A word of a unit file that stands for itself, blanks and all."""
    escaped = word.replace('\\', '\\\\').replace('"', '\\"').replace('%', '%%')
    return f'"{escaped}"'


def _word(word: str) -> str:
    """The same in a command, where signs for variables are expanded too."""
    return _quoted(word).replace('$', '$$')


def parent_pid(settings: Settings) -> int | None:
    """The pid of the running parent, if there is one."""
    try:
        with open(settings.path('run', 'processes.json'), encoding='utf-8') as file:
            pid = int(json.load(file)['parent'])
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            words = file.read().split(b'\0')
    except (OSError, ValueError, KeyError):
        return None
    return pid if b'launcher.parent' in words and settings.data_dir.encode() in words else None


def stop_parent(settings: Settings, seconds: float = 45) -> bool:
    """Stop the daemons; whether they ran."""
    pid = parent_pid(settings)
    ours = units(settings) if has_systemd() else []
    for name in ours:
        run(['systemctl', 'disable', '--now', name], timeout=seconds + 15, check=False)
    if pid and not ours:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 15)
    deadline = time.monotonic() + seconds
    while pid and os.path.exists(f'/proc/{pid}') and parent_pid(settings):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        time.sleep(0.05)
    return pid is not None


def give_back(settings: Settings) -> None:
    """Remove the unit and the user, stop libvirt, close KVM: whatever of it was our doing."""
    for name in (names := units(settings)):
        os.unlink(os.path.join(UNITS, name))
    if names:
        run(['systemctl', 'daemon-reload'], check=False)
    stop_libvirt(settings)
    _close_kvm(settings)
    if made(settings).get('user'):
        run(['userdel', DAEMON_USER], check=False)
