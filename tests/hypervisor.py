"""Hypervisors for the driver tests: a libvirtd of our own in namespaces of its own, and something to boot.

The machine's libvirt and network are never touched: the private one has its
own configuration, sockets, state and network devices.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import uuid

from strata.testing import wait

ROOT = pathlib.Path(__file__).resolve().parent.parent

_CONF = """
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
"""

_START = """
cd "$1"
ip link set lo up
mkdir -p /run/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
mount --bind "$1/etc" /etc/libvirt
mount --bind "$1/run" /run/libvirt
for name in lib log cache; do mount --bind "$1/$name" "/var/$name/libvirt"; done
virtlogd -d -p "$1/virtlogd.pid"
libvirtd -d -p "$1/libvirtd.pid"
exec sleep infinity
"""


def lacking():
    """Why no private libvirtd can be started here, or nothing."""
    if os.geteuid():
        return 'needs root'
    programs = ('libvirtd', 'virtlogd', 'qemu-system-x86_64', 'qemu-img', 'unshare', 'ip')
    missing = [name for name in programs if shutil.which(name, path='/usr/sbin:/usr/bin:/sbin:/bin') is None]
    return f'needs {", ".join(missing)}' if missing else None


class Libvirtd:
    """A private libvirtd; ``directory`` must have a short path, for its sockets' sake."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._holder = None

    @property
    def uri(self):
        return f'qemu+unix:///system?socket={self.directory}/run/libvirt-sock'

    def start(self):
        for name in ('lib', 'log', 'run', 'cache', 'instances'):
            (self.directory / name).mkdir()
        shutil.copytree('/etc/libvirt', self.directory / 'etc')
        shutil.rmtree(self.directory / 'etc/qemu/networks', ignore_errors=True)
        (self.directory / 'etc/qemu.conf').write_text(_CONF)
        (self.directory / 'etc/libvirtd.conf').write_text(
            f'auth_unix_rw = "none"\nhost_uuid = "{uuid.uuid4()}"\n')
        self._holder = subprocess.Popen(['unshare', '--net', '--mount', '--propagation', 'private',
                                         'sh', '-ec', _START, 'sh', str(self.directory)])
        wait.until(lambda: (self.directory / 'run/libvirt-sock').exists(), timeout=30,
                   message='no socket of libvirtd')

    def inside(self, *argv):
        """Run a command where the daemon runs."""
        subprocess.run(['nsenter', f'--target={self._holder.pid}', '--net', '--mount', *argv], check=True)

    def tap(self, name):
        """A persistent tap, as the network agent makes it."""
        self.inside('ip', 'tuntap', 'add', name, 'mode', 'tap')
        self.inside('ip', 'link', 'set', name, 'up')

    def kill_daemon(self):
        """End libvirtd as a crash would; guests run on."""
        self._kill('libvirtd')

    def kill_guest(self, name):
        """End a guest's process from outside."""
        self._end(self.directory / f'run/qemu/{name}.pid')

    def start_daemon(self):
        self.inside('libvirtd', '-d', '-p', f'{self.directory}/libvirtd.pid')

    def _kill(self, name):
        path = self.directory / f'{name}.pid'
        if path.exists():
            self._end(path)
            path.unlink(missing_ok=True)

    def _end(self, path):
        pid = int(path.read_text())
        subprocess.run(['kill', '-9', str(pid)], check=False, stderr=subprocess.DEVNULL)
        wait.until(lambda: not os.path.exists(f'/proc/{pid}'), message=f'{path.stem} does not die')

    def stop(self):
        for path in (self.directory / 'run/qemu').glob('*.pid'):
            subprocess.run(['kill', '-9', path.read_text().strip()], check=False, stderr=subprocess.DEVNULL)
        self._kill('libvirtd')
        self._kill('virtlogd')
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()


def build_image(directory):
    """The tiny guest image, built by our own tool; its path."""
    path = pathlib.Path(directory) / 'tiny.qcow2'
    subprocess.run([sys.executable, ROOT / 'tools/guest-image', '-o', path], check=True,
                   stdout=subprocess.DEVNULL)
    path.chmod(0o444)
    return str(path)
