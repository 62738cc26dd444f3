"""The verbs that the helper obeys, over everything else in this package."""

import contextlib
import os
import shutil
import socket
import subprocess
from typing import Any

from nova.network.drivers.state import METADATA_ADDRESS
from nova.network.host import dnsmasq, nftables, schema, sockets
from nova.network.host.filters import Filters
from nova.network.host.networks import KIND as NETWORKS
from nova.network.host.networks import Networks
from nova.network.host.record import Record, set_sysctl, sysctl
from nova.network.host.routers import KIND as ROUTERS
from nova.network.host.routers import Routers
from strata import errors

_BRIDGE_HOOKS = [f'net/bridge/bridge-nf-call-{name}tables' for name in ('ip', 'ip6', 'arp')]


class Host:
    """One host's networks, as the driver's verbs see them; arguments are JSON not yet checked.

    A verb answers with JSON, or with a socket that is to be handed over.
    """

    def __init__(self, directory: str, *, dnsmasq_user: str | None = None) -> None:
        self._record = Record(directory)
        self._filters = Filters()
        self._networks = Networks(self._record, self._filters,
                                  dnsmasq_user=dnsmasq_user or dnsmasq.default_user())
        self._routers = Routers(self._record)
        self.verbs = {
            'apply_network': self.apply_network, 'remove_network': self.remove_network,
            'remove_port': self.remove_port, 'apply_router': self.apply_router,
            'remove_router': self.remove_router, 'present': self.present,
            'metadata_socket': self.metadata_socket, 'check': self.check, 'reset': self.reset}

    def apply_network(self, state: Any) -> None:
        self._networks.apply(schema.network(state))

    def remove_network(self, id: Any) -> None:
        self._networks.remove(schema.identifier('id', id))

    def remove_port(self, id: Any) -> None:
        self._networks.remove_port(schema.identifier('id', id))

    def apply_router(self, state: Any) -> None:
        self._routers.apply(schema.router(state))

    def remove_router(self, id: Any) -> None:
        self._routers.remove(schema.identifier('id', id))

    def present(self) -> dict[str, Any]:
        return {'networks': self._record.ids(NETWORKS), 'routers': self._record.ids(ROUTERS),
                'ports': self._networks.ports()}

    def metadata_socket(self, id: Any) -> socket.socket:
        namespace = self._networks.metadata_namespace(schema.identifier('id', id))
        return sockets.listener(namespace, METADATA_ADDRESS, 80)

    def check(self) -> list[str]:
        """What is missing or in the way."""
        found = [f'{program} is not installed: install the package {package}.'
                 for program, package in (('nft', 'nftables'), ('dnsmasq', 'dnsmasq-base'))
                 if not shutil.which(program)]
        if not os.path.exists('/dev/net/tun'):
            found.append('/dev/net/tun is missing: load the kernel module tun.')
        if not os.path.exists(f'/proc/sys/{_BRIDGE_HOOKS[0]}'):
            found.append('The kernel does not filter bridged frames by connection: '
                         'load the kernel module br_netfilter.')
        if closed := _closed_to_others(self._record.directory):
            found.append(f'dnsmasq, which runs as a user of its own, cannot read in {self._record.directory}: '
                         f'chmod o+x {closed}.')
        if not found:
            found += _dropping_chains()
        return found

    def reset(self) -> None:
        """Give back everything, in the order in which things hang on each other."""
        for id in self._record.ids(ROUTERS):
            self._routers.remove(id)
        for id in self._record.ids(NETWORKS):
            self._networks.remove(id)
        self._filters.reset()
        self._record.restore_sysctls()


def _closed_to_others(path: str) -> str | None:
    """The first directory on the way to a path that other users may not pass."""
    steps = os.path.abspath(path).split('/')
    ways = ('/'.join(steps[:n]) or '/' for n in range(1, len(steps) + 1))
    return next((way for way in ways if not os.stat(way).st_mode & 0o001), None)


def _dropping_chains() -> list[str]:
    """Strangers' chains that drop what is forwarded unless they know it: our frames pass them too."""
    found = []
    for family, name in sorted(nftables.tables()):
        if family not in ('ip', 'ip6', 'inet') or name.startswith('strata_'):
            continue
        with contextlib.suppress(errors.Error):
            for entry in nftables.table(family, name):
                chain = entry.get('chain', {})
                if chain.get('hook') == 'forward' and chain.get('policy') == 'drop':
                    found.append(f'The nftables chain {family} {name} {chain["name"]} drops what it does not '
                                 f'know, the traffic of servers included: let it accept interfaces br-*.')
    return found


def prepare() -> None:
    """Load what the kernel may keep in modules, leaving other bridges of the host as they were.

    Loading br_netfilter switches its hooks on for every bridge; ours have them switched on one by one.
    """
    if os.path.exists(f'/proc/sys/{_BRIDGE_HOOKS[0]}'):
        return
    for module in ('tun', 'bridge', 'br_netfilter'):
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(['modprobe', '-q', module], check=False, timeout=30)
    for name in _BRIDGE_HOOKS:
        with contextlib.suppress(FileNotFoundError):
            if sysctl(name) != '0':
                set_sysctl(name, '0')

