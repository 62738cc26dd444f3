"""A host of its own for network tests: private network and mount namespaces, the helper in them, guests.

The machine's own network is never touched, and tests may run side by side.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from nova.network.drivers import state as states
from nova.network.drivers.linux import LinuxDriver
from strata.testing import wait

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GUEST = os.path.join(ROOT, 'tests', 'guest.py')

_SETUP = """
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
ip link set lo up
echo ready
exec sleep infinity
"""

_UDHCPC = """#!/bin/sh
[ "$1" = bound ] || exit 0
echo "ip=$ip"; echo "router=$router"; echo "mtu=$mtu"; echo "dns=$dns"
echo "routes=$staticroutes"; echo "hostname=$hostname"; echo "domain=$domain"
"""


class Sandbox:
    """One pretended host; a context manager.  ``helper`` False leaves the helper out at first."""

    def __init__(self, *, helper=True):
        self._guests = []
        self._processes = []
        self._wants_helper = helper
        self.helper = None

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix='sandbox-')
        os.chmod(self.directory, 0o755)         # dnsmasq reads there as another user
        self.socket = f'{self.directory}/helper.sock'
        self._holder = subprocess.Popen(
            ['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-ec', _SETUP],
            stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == 'ready\n'
        self.pid = self._holder.pid
        self.driver = LinuxDriver(self.socket, timeout=30)
        if self._wants_helper:
            self.start_helper()
        return self

    def __exit__(self, *_):
        if self._wants_helper and self.helper:
            with contextlib.suppress(Exception):
                self.driver.reset()
        for process in [*self._processes, *([self.helper] if self.helper else [])]:
            process.kill()
            process.wait()
        self._holder.kill()
        self._holder.wait()
        subprocess.run(['rm', '-rf', self.directory], check=False)

    def _enter(self, namespace=None):
        words = ['nsenter', '-t', str(self._holder.pid), '--net', '--mount', '--']
        return words + (['ip', 'netns', 'exec', namespace] if namespace else [])

    def run(self, *argv, namespace=None, check=True, timeout=20):
        """Run a program on the host, or in a namespace of it; its standard output."""
        done = subprocess.run([*self._enter(namespace), *argv], capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, check=False)
        assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def succeeds(self, *argv, namespace=None, timeout=20):
        return subprocess.run([*self._enter(namespace), *argv], capture_output=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False).returncode == 0

    def pings(self, address, *, namespace=None, patience=6):
        """Whether an echo comes back within so many seconds; it is asked for again and again."""
        return self.succeeds('ping', '-n', '-q', '-c', '1', '-i', '0.4', '-w', str(patience), address,
                             namespace=namespace)

    def misses(self, address, *, namespace=None):
        """Whether no echo comes back, for a while."""
        return not self.pings(address, namespace=namespace, patience=1)

    def start(self, *argv, namespace=None):
        """A program that goes on running; it is killed at the end."""
        process = subprocess.Popen([*self._enter(namespace), *argv], stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._processes.append(process)
        return process

    def start_helper(self, *more):
        """Start the helper and wait until it answers."""
        with open(f'{self.directory}/helper.log', 'a') as log:
            self.helper = subprocess.Popen(
                [*self._enter(), sys.executable, '-m', 'nova.cmd.net_helper', '--socket', self.socket,
                 '--state-dir', f'{self.directory}/state', *more],
                env={**os.environ, 'PYTHONPATH': ROOT}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait.until(self._answers, timeout=20, message='the helper does not answer')

    def _answers(self):
        assert self.helper.poll() is None, self.log()
        try:
            self.driver.present()
        except Exception:
            return False
        return True

    def log(self):
        with open(f'{self.directory}/helper.log') as file:
            return file.read()

    def kill_helper(self, number=signal.SIGKILL):
        """The helper dies, by default without a word."""
        self.helper.send_signal(number)
        status = self.helper.wait()
        self.helper = None
        return status

    def guest(self, port, **more):
        """A guest plugged into a port; the port's network is to be applied afterwards."""
        guest = Guest(self, port, **more)
        self._guests.append(guest)
        return guest

    def clear(self):
        """Give everything back and let the guests go, for the next test."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()
        self.driver.reset()
        self.forget_guests()

    def forget_guests(self):
        """Let the guests go."""
        for guest in self._guests:
            self.run('ip', 'netns', 'del', guest.name)
        self._guests.clear()

    def snapshot(self):
        """All that a reset must give back."""
        return {
            'links': self.run('ip', '-o', 'link').splitlines(),
            'addresses': self.run('ip', '-o', 'addr').splitlines(),
            'routes': self.run('ip', 'route', 'show', 'table', 'all').splitlines(),
            'namespaces': self.run('ip', 'netns').splitlines(),
            'rules': self.run('nft', 'list', 'ruleset'),
            'sysctls': _stable(self.run('sysctl', '-a', check=False)),
            'processes': [line for line in self.run('pgrep', '-a', 'dnsmasq', check=False).splitlines()
                          if self.directory in line]}


def _stable(text):
    """Sysctls of the network, less the ones that count."""
    return [line for line in text.splitlines()
            if line.startswith('net.') and 'count' not in line and 'random' not in line]


class Guest:
    """A namespace in place of a virtual machine: its ``eth0`` is the other end of the port's tap.

    A veth pair stands in for the tap: the host sees frames come in at a device of the tap's name.
    """

    def __init__(self, sandbox, port, *, mac=None):
        self._sandbox = sandbox
        self.port = port
        self.name = 'guest-' + port.id[:8]
        self.address = port.fixed_ips[0].ip_address if port.fixed_ips else None
        sandbox.run('ip', 'link', 'del', port.tap_name, check=False)
        sandbox.run('ip', 'netns', 'add', self.name)
        sandbox.run('ip', 'link', 'add', port.tap_name, 'type', 'veth', 'peer', 'name', 'eth0',
                    'address', mac or port.mac_address, 'netns', self.name)
        self.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0')
        self.run('ip', 'link', 'set', 'lo', 'up')
        self.run('ip', 'link', 'set', 'eth0', 'up')

    def run(self, *argv, check=True, timeout=20):
        return self._sandbox.run(*argv, namespace=self.name, check=check, timeout=timeout)

    def configure(self, prefix=24, gateway=None):
        """Take the port's first address without asking DHCP."""
        self.run('ip', 'addr', 'replace', f'{self.address}/{prefix}', 'dev', 'eth0')
        if gateway:
            self.run('ip', 'route', 'replace', 'default', 'via', gateway)
        return self

    def dhcp(self, patience=15):
        """Ask for an address as a guest does, for so many seconds at most; what was offered, or None."""
        script = os.path.join(self._sandbox.directory, 'udhcpc.sh')
        with open(script, 'w') as file:
            file.write(_UDHCPC)
        os.chmod(script, 0o755)
        text = self.run('busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', str(patience), '-T', '1',
                        '-O', 'staticroutes', '-O', 'mtu', '-O', 'dns', '-s', script, check=False)
        found = dict(line.split('=', 1) for line in text.splitlines() if '=' in line)
        return found if 'ip' in found else None

    def pings(self, address):
        """Whether an echo comes back.

        Not always the first one: it may meet a bridge port that is just coming up, or wait for an answer
        to the guest's last ARP request.
        """
        return self._sandbox.pings(address, namespace=self.name)

    def misses(self, address):
        return self._sandbox.misses(address, namespace=self.name)

    def does(self, *words):
        """Run the guest's program to its end; what it said."""
        return self.run(sys.executable, GUEST, *words).splitlines()

    def starts(self, *words):
        """The guest's program, going on."""
        return self._sandbox.start(sys.executable, GUEST, *words, namespace=self.name)

    def listens(self, port):
        process = self.starts('listen', str(port))
        assert process.stdout.readline() == 'ready\n', process.stderr.read()

    def reaches(self, address, port):
        """Whether a TCP connection comes about."""
        return self.does('talk', address, str(port))[0].startswith('connected')

    def connects(self, address, port):
        """A connection that stays; ``say`` sends a line over it."""
        return Conversation(self.starts('talk', address, str(port)))


class Conversation:
    def __init__(self, process):
        self._process = process
        self.opening = process.stdout.readline().split()

    def say(self, word):
        """What came back, or ``silent``."""
        self._process.stdin.write(word + '\n')
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


# ---- plain values

EGRESS = (states.SecurityRule(direction='egress'), states.SecurityRule(direction='egress', ethertype='IPv6'))
PING = states.SecurityRule(direction='ingress', protocol='icmp')


def tcp(port, *cidrs):
    return states.SecurityRule(direction='ingress', protocol='tcp', port_range_min=port, port_range_max=port,
                               remote_cidrs=cidrs or None)


def new_id():
    return str(uuid.uuid4())


def new_mac():
    return 'fa:16:3e:' + ':'.join(f'{octet:02x}' for octet in os.urandom(3))


def subnet(cidr='10.211.1.0/24', **more):
    base = cidr.rpartition('.')[0]
    values = {'gateway_ip': f'{base}.1', 'dhcp_address': f'{base}.2'} if '.' in cidr else {}
    return states.SubnetState(id=new_id(), cidr=cidr, **{**values, **more})


def port(*addresses, subnets=(), rules=(*EGRESS, PING), **more):
    """A port with an address in each subnet, in that order."""
    fixed = tuple(states.FixedIp(subnet_id=one.id, ip_address=address)
                  for one, address in zip(subnets, addresses, strict=False))
    return states.PortState(**{'id': new_id(), 'mac_address': new_mac(), 'fixed_ips': fixed, 'host': 'here',
                               'security_rules': tuple(rules), **more})


def network(*subnets, ports=(), **more):
    return states.NetworkState(**{'id': new_id(), 'host': 'here', 'mtu': 1450, 'subnets': tuple(subnets),
                                  'ports': tuple(ports), **more})


def within(seconds, condition):
    """Whether the condition comes true in time; a polite poll for what is decided outside."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
