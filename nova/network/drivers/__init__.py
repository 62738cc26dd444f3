"""What nova-network needs from a host, and nothing else."""

import importlib
import socket
from abc import ABC, abstractmethod
from typing import Any

from nova.network.drivers.state import NetworkState, Present, RouterState


class Driver(ABC):
    """The networks of one host.

    A driver knows no database, no RPC and no policy.  It is handed plain values, makes the host look
    like them, and raises ``errors.Error`` if it could not.  Every verb is idempotent, converges from
    whatever an earlier one left half done, and may be called again at any time.
    """

    @abstractmethod
    def apply_network(self, state: NetworkState) -> None:
        """Make the host carry this network: bridge, DHCP, metadata address, taps, filters.

        Ports of this network that the state does not name lose their devices and rules.
        """

    @abstractmethod
    def remove_network(self, network_id: str) -> None:
        """Take away a network with all its ports; one already gone is a success."""

    @abstractmethod
    def remove_port(self, port_id: str) -> None:
        """Take away a port's device and rules; one already gone is a success."""

    @abstractmethod
    def apply_router(self, state: RouterState) -> None:
        """Make the host carry this router; the networks it names must have been applied before.

        ``errors.NotFound`` names a network that was not.
        """

    @abstractmethod
    def remove_router(self, router_id: str) -> None:
        """Take away a router; one already gone is a success."""

    @abstractmethod
    def present(self) -> Present:
        """What exists on the host, wholly or in part; the reconciler removes what should not."""

    @abstractmethod
    def metadata_socket(self, network_id: str) -> socket.socket:
        """A listening TCP socket on the network's metadata address, port 80.

        It belongs to the caller; a second call gives a second socket (SO_REUSEPORT).
        ``errors.NotFound`` if the network is not on this host or has no DHCP address.
        """

    @abstractmethod
    def check(self) -> list[str]:
        """What the host lacks or has against us, a sentence each with its remedy; empty when all is well."""

    @abstractmethod
    def reset(self) -> None:
        """Give back everything any verb ever took: devices, namespaces, processes, rules, sysctls."""


DRIVERS = {
    'linux': 'nova.network.drivers.linux:LinuxDriver',      # socket_path, timeout
    'fake': 'nova.network.drivers.fake:FakeDriver',         # directory
}


def load(name: str, **options: Any) -> Driver:
    """The driver of that name; ``options`` go to its constructor.  ``KeyError`` if there is none."""
    module, _, kind = DRIVERS[name].partition(':')
    return getattr(importlib.import_module(module), kind)(**options)
