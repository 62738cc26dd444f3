"""The real driver: it asks the privileged helper on this host."""

import socket
from typing import Any

from nova.network import wire
from nova.network.drivers import Driver
from nova.network.drivers.state import NetworkState, Present, RouterState, to_dict
from strata import errors


class LinuxDriver(Driver):
    """``socket_path`` is the helper's; ``timeout`` in seconds bounds each verb.

    Greenlets may call it side by side; the helper takes one at a time.
    """

    def __init__(self, socket_path: str = '/run/strata/net-helper.sock', *, timeout: float = 60.0) -> None:
        self._path = socket_path
        self._timeout = timeout

    def _ask(self, verb: str, *arguments: Any) -> tuple[Any, int | None]:
        """The helper's answer and the descriptor that came with it.

        Raises what the helper raised, or ``errors.Unavailable`` if it is not there, and ``errors.Timeout``
        if it takes too long (the verb may still be carried out).
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._timeout)
                sock.connect(self._path)
                wire.send(sock, {'verb': verb, 'arguments': list(arguments)})
                answer, descriptor = wire.receive(sock, self._timeout)
        except TimeoutError as error:
            raise errors.Timeout(what='The network helper') from error
        except (OSError, EOFError, ValueError) as error:
            raise errors.Unavailable(service=f'The network helper at {self._path}') from error
        if 'error' in answer:
            kind = getattr(errors, answer['error']['type'], errors.Error)
            raise kind(answer['error']['message'])
        return answer['result'], descriptor

    def apply_network(self, state: NetworkState) -> None:
        self._ask('apply_network', to_dict(state))

    def remove_network(self, network_id: str) -> None:
        self._ask('remove_network', network_id)

    def remove_port(self, port_id: str) -> None:
        self._ask('remove_port', port_id)

    def apply_router(self, state: RouterState) -> None:
        self._ask('apply_router', to_dict(state))

    def remove_router(self, router_id: str) -> None:
        self._ask('remove_router', router_id)

    def present(self) -> Present:
        found, _ = self._ask('present')
        return Present(networks=frozenset(found['networks']), routers=frozenset(found['routers']),
                       ports=found['ports'])

    def metadata_socket(self, network_id: str) -> socket.socket:
        _, descriptor = self._ask('metadata_socket', network_id)
        if descriptor is None:
            raise errors.Error('The network helper sent no socket.')
        return socket.socket(fileno=descriptor)

    def check(self) -> list[str]:
        return self._ask('check')[0]

    def reset(self) -> None:
        self._ask('reset')
