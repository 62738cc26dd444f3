"""One dnsmasq per network: its files, and the process that reads them.

    dnsmasq.conf   ranges and paths; a change restarts it (it names namespace and interface, so do new ones)
    hosts          MAC -> address, a line per port       \
    options        gateways, routes, DNS, per-port ones   } a change is told by SIGHUP
    names          address -> name                       /
    leases         dnsmasq's own; pruned of ports that are gone, or it would keep their addresses from
                   whoever has them next
    pid            checked against the command line before any signal

dnsmasq up to 2.90 frees memory that is not its own when it is told to read again hosts that carry a tag and
have been served (seen as a crash on SIGHUP): only ports with options of their own are tagged, and a network
that has such ports is restarted instead.
"""

import contextlib
import grp
import ipaddress
import os
import pwd
import select
import signal
import subprocess
from collections.abc import Iterator

from nova.network.drivers.state import METADATA_ADDRESS, NetworkState, PortState, SubnetState
from nova.network.host import namespaces
from nova.network.host.links import Link
from nova.network.host.record import write
from strata import errors

LEASE_SECONDS = 86400


def serves(network: NetworkState) -> list[SubnetState]:
    """The subnets of a network whose addresses we hand out."""
    return [subnet for subnet in network.subnets
            if subnet.asks_dhcp and subnet.dhcp_address]


def _tag(subnet: SubnetState) -> str:
    return f'subnet-{subnet.id}'


def _of(subnet: SubnetState, port: PortState) -> str | None:
    """The first address a port has in a subnet."""
    return next((one.ip_address for one in port.fixed_ips if one.subnet_id == subnet.id), None)


def default_name(address: str) -> str:
    """``host-10-0-0-5``: what a server without a name of its own is called."""
    return 'host-' + address.replace('.', '-').replace(':', '-')


def configuration(network: NetworkState, *, interface: str, home: str, user: str, place: str) -> str:
    """The text of dnsmasq.conf.  ``place`` tells namespace and interface from later ones of their names."""
    addresses = ' '.join(subnet.dhcp_address or '' for subnet in serves(network))
    lines = [
        f'# place {place}', f'# addresses {addresses}', 'no-hosts', 'no-resolv', 'no-ping',
        'bind-interfaces', 'quiet-dhcp', 'quiet-dhcp6', 'dhcp-authoritative', 'except-interface=lo',
        f'interface={interface}', f'user={user}',
        f'group={_group(user)}', f'pid-file={home}/pid', f'dhcp-leasefile={home}/leases',
        f'dhcp-hostsfile={home}/hosts', f'dhcp-optsfile={home}/options', f'addn-hosts={home}/names',
        f'domain={network.dns_domain}', f'local=/{network.dns_domain}/', 'dhcp-ignore=tag:!known',
        'dhcp-lease-max=65536']
    for subnet in serves(network):
        net = ipaddress.ip_network(subnet.cidr)
        if net.version == 4:
            lines.append(f'dhcp-range=set:{_tag(subnet)},{net.network_address},static,{net.netmask},'
                         f'{LEASE_SECONDS}s')
        else:
            lines.append(f'dhcp-range=set:{_tag(subnet)},{net.network_address},static,'
                         f'{max(net.prefixlen, 64)},{LEASE_SECONDS}s')
    return '\n'.join(lines) + '\n'


def hosts(network: NetworkState) -> str:
    """The text of the hosts file: every port of the network, wherever it runs."""
    lines = []
    for port in network.ports:
        for subnet in serves(network):
            address = _of(subnet, port)
            if address:
                name = port.dns_name or default_name(address)
                shown = f'[{address}]' if ':' in address else address
                tag = f',set:port-{port.id}' if port.dhcp_options else ''
                lines.append(f'{port.mac_address}{tag},{shown},{name}')
    return '\n'.join(lines) + '\n'


def names(network: NetworkState) -> str:
    """The text of the names file."""
    lines = []
    for port in network.ports:
        for one in port.fixed_ips:
            name = port.dns_name or default_name(one.ip_address)
            lines.append(f'{one.ip_address} {name}.{network.dns_domain} {name}')
    return '\n'.join(lines) + '\n'


def options(network: NetworkState) -> str:
    """The text of the options file."""
    lines = []
    for subnet in serves(network):
        if ':' in subnet.cidr:
            servers = ','.join(f'[{one}]' for one in subnet.dns_nameservers or (subnet.dhcp_address,))
            lines.append(f'tag:{_tag(subnet)},option6:dns-server,{servers}')
            continue
        tag = f'tag:{_tag(subnet)},'
        lines.append(f'{tag}option:mtu,{network.mtu}')
        servers = ','.join(subnet.dns_nameservers or (subnet.dhcp_address or '',))
        lines.append(f'{tag}option:dns-server,{servers}')
        routes = [(METADATA_ADDRESS + '/32', subnet.dhcp_address)]
        routes += [(route.destination, route.nexthop) for route in subnet.host_routes]
        if subnet.gateway_ip:
            lines.append(f'{tag}option:router,{subnet.gateway_ip}')
            if not any(destination == '0.0.0.0/0' for destination, _ in routes):    # noqa: S104
                # who takes option 121 must not look at option 3
                routes.append(('0.0.0.0/0', subnet.gateway_ip))                     # noqa: S104
        else:
            lines.append(f'{tag}option:router')
        text = ','.join(f'{destination},{hop}' for destination, hop in routes)
        lines.append(f'{tag}option:classless-static-route,{text}')
        lines.append(f'{tag}249,{text}')
    for port in network.ports:
        for option in port.dhcp_options:
            six = '6' if option.ip_version == 6 else ''
            name = option.name if option.name.isdigit() and not six else f'option{six}:{option.name}'
            lines.append(f'tag:port-{port.id},{name},{option.value}')
    return '\n'.join(lines) + '\n'


def _group(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def default_user() -> str:
    """Whom dnsmasq becomes: its own user where the distribution made one."""
    for name in ('dnsmasq', 'nobody'):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return 'root'


class Dnsmasq:
    """The dnsmasq of one network, living in ``home``."""

    def __init__(self, home: str) -> None:
        self.home = home
        self._command = ['dnsmasq', f'--conf-file={home}/dnsmasq.conf']
        #: False until this helper knows that the process has read the files as they are
        self._told = False

    def ensure(self, network: NetworkState, *, interface: Link, namespace: str, user: str) -> None:
        """It runs, and has read what it should hand out."""
        text = configuration(network, interface=interface.name, home=self.home, user=user,
                             place=f'{namespaces.inode(namespace)} {interface.index}')
        if stale := self._stale(network):
            # before the hosts file is written: it tells whom a lease of IPv6 was for
            self.stop()
            self._prune(stale)
        tagged = ',set:' in self._read('hosts')
        told = [write(f'{self.home}/{name}', make(network))
                for name, make in (('hosts', hosts), ('options', options), ('names', names))]
        fresh = any(told) or not self._told
        with self._process() as process:
            # the file is written after the process that read the last one has gone, never before:
            # so whatever runs has read what the file says
            if process is not None and (fresh and tagged or self._read('dnsmasq.conf') != text):
                _end(process)
            elif process is not None:
                if fresh:
                    signal.pidfd_send_signal(process, signal.SIGHUP)
                self._told = True
                return
        write(f'{self.home}/dnsmasq.conf', text)
        self._start(namespace)
        self._told = True

    def stop(self) -> None:
        """It is gone, with what it wrote; not running is a success."""
        with self._process() as process:
            if process is not None:
                _end(process)

    def running(self) -> bool:
        with self._process() as process:
            return process is not None

    def _read(self, name: str) -> str:
        """One of the files; '' if there is none."""
        try:
            with open(f'{self.home}/{name}', encoding='utf-8', errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def _start(self, namespace: str) -> None:
        """Start it in the namespace; it returns once it listens, or says why it cannot."""
        with namespaces.entered(namespace):
            try:
                done = subprocess.run(self._command, capture_output=True, text=True, timeout=30, check=False,
                                      stdin=subprocess.DEVNULL)
            except FileNotFoundError as error:
                raise errors.Error('dnsmasq is not installed; install the package dnsmasq-base.') from error
        if done.returncode:
            complaint = (done.stderr.strip() or f'exit status {done.returncode}').splitlines()[-1]
            raise errors.Error('dnsmasq did not start: {complaint}', complaint=complaint)

    @contextlib.contextmanager
    def _process(self) -> Iterator[int | None]:
        """An open pidfd of the process, or None; it cannot come to mean another process meanwhile."""
        found = None
        with contextlib.suppress(FileNotFoundError, ValueError):
            with open(f'{self.home}/pid', encoding='ascii') as file:
                found = self._open(int(file.read()))
        if found is None:
            found = next(filter(None, (self._open(int(name)) for name in os.listdir('/proc')
                                       if name.isdigit())), None)
        try:
            yield found
        finally:
            if found is not None:
                os.close(found)

    def _open(self, pid: int) -> int | None:
        """A pidfd if that process is this dnsmasq."""
        if not self._is_ours(pid):
            return None
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        if self._is_ours(pid):
            return process
        os.close(process)
        return None

    def _is_ours(self, pid: int) -> bool:
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                words = file.read().split(b'\0')[:-1]
        except OSError:
            return False
        return len(words) == 2 and words[0].endswith(b'dnsmasq') and words[1] == self._command[1].encode()

    # ---- leases

    def _stale(self, network: NetworkState) -> set[str]:
        """Lease lines whose address now belongs to another MAC, or to nobody."""
        holders = {one.ip_address: port.mac_address for port in network.ports for one in port.fixed_ips}
        before = self._holders_of_six()
        stale = set()
        for line in self._read('leases').splitlines():
            words = line.split()
            # DHCPv6 leases name a DUID and an IAID instead of a MAC
            if len(words) == 5 and words[0] != 'duid':
                holder = before.get(words[2]) if ':' in words[2] else words[1]
                if holder is None or holders.get(words[2]) != holder:
                    stale.add(line)
        return stale

    def _holders_of_six(self) -> dict[str, str]:
        """The MAC that each address of IPv6 was for when the files were last written."""
        found = {}
        for line in self._read('hosts').splitlines():
            mac, _, rest = line.partition(',')
            if '[' in rest:
                found[rest.partition('[')[2].partition(']')[0]] = mac
        return found

    def _prune(self, stale: set[str]) -> None:
        kept = [line for line in self._read('leases').splitlines() if line not in stale]
        write(f'{self.home}/leases', '\n'.join(kept) + '\n' if kept else '')


def _end(process: int) -> None:
    """Tell it to go, and wait until it is gone."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)
        if _ended(process, patience):
            return
    raise errors.Error('dnsmasq does not go away.')


def _ended(process: int, patience: float) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(patience * 1000))
