"""A host in a dict: real states, no devices; on disk too if a directory is given."""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import orjson

from nova.network.drivers import Driver
from nova.network.drivers.state import NetworkState, Present, RouterState, bridge_name, to_dict
from nova.network.host import schema
from strata import errors


class FakeDriver(Driver):
    """The networks of a host that is not there.

    With a ``directory`` the states are JSON files (``networks/<id>``, ``routers/<id>``), written by
    renaming, so they survive whatever kills the process.  Without, they live as long as the object.

    Tests give orders: ``fail('apply_network', error, times=2)``, ``delay('apply_router', 0.1)``; ``calls``
    lists every verb with its subject.
    """

    def __init__(self, directory: str | None = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.calls: list[tuple[str, str | None]] = []
        self._sleep = sleep
        self._failures: dict[str, list[Exception]] = {}
        self._delays: dict[str, float] = {}
        self._store = _Files(directory) if directory else _Memory()

    # ---- orders

    def fail(self, verb: str, error: Exception, *, times: int = 1) -> None:
        """The next ``times`` calls of the verb raise ``error`` and change nothing."""
        self._failures.setdefault(verb, []).extend([error] * times)

    def delay(self, verb: str, seconds: float) -> None:
        """Every call of the verb takes this long from now on; 0 for none."""
        self._delays[verb] = seconds

    def network(self, network_id: str) -> NetworkState | None:
        """The state last applied."""
        found = self._store.get('networks', network_id)
        return found and schema.network(found)

    def router(self, router_id: str) -> RouterState | None:
        """The state last applied."""
        found = self._store.get('routers', router_id)
        return found and schema.router(found)

    def _begin(self, verb: str, subject: str | None = None) -> None:
        self.calls.append((verb, subject))
        if self._delays.get(verb):
            self._sleep(self._delays[verb])
        if self._failures.get(verb):
            raise self._failures[verb].pop(0)

    # ---- the driver

    def apply_network(self, state: NetworkState) -> None:
        self._begin('apply_network', state.id)
        values = _json(state)
        schema.network(values)
        self._store.put('networks', state.id, values)

    def remove_network(self, network_id: str) -> None:
        self._begin('remove_network', network_id)
        self._store.drop('networks', schema.identifier('id', network_id))

    def remove_port(self, port_id: str) -> None:
        self._begin('remove_port', port_id)
        schema.identifier('id', port_id)
        network = self.present().ports.get(port_id)
        if network:
            values = self._store.get('networks', network)
            values['ports'] = [port for port in values['ports'] if port['id'] != port_id]
            self._store.put('networks', network, values)

    def apply_router(self, state: RouterState) -> None:
        self._begin('apply_router', state.id)
        values = _json(state)
        schema.router(values)
        for foot in [*state.interfaces, *([state.gateway] if state.gateway else [])]:
            if state.admin_state_up and not self._store.get('networks', foot.network_id):
                raise errors.NotFound(kind='Network', id=foot.network_id)
        self._store.put('routers', state.id, values)

    def remove_router(self, router_id: str) -> None:
        self._begin('remove_router', router_id)
        self._store.drop('routers', schema.identifier('id', router_id))

    def present(self) -> Present:
        networks = {id: self._store.get('networks', id) for id in self._store.ids('networks')}
        return Present(networks=frozenset(networks), routers=frozenset(self._store.ids('routers')),
                       ports={port['id']: id for id, state in networks.items() for port in state['ports']
                              if port['tap'] and port['host'] == state['host']})

    def metadata_socket(self, network_id: str) -> socket.socket:
        """A listening socket on a free port of the loopback interface."""
        self._begin('metadata_socket', network_id)
        state = self.network(schema.identifier('id', network_id))
        if not state or not state.has_metadata:
            raise errors.NotFound(kind='Network with a metadata address', id=network_id)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(('127.0.0.1', 0))
        sock.listen(128)
        return sock

    def check(self) -> list[str]:
        self._begin('check')
        return []

    def reset(self) -> None:
        self._begin('reset')
        for kind in ('networks', 'routers'):
            for id in self._store.ids(kind):
                self._store.drop(kind, id)

    def bridges(self) -> set[str]:
        """The names of the bridges there would be."""
        return {bridge_name(id) for id in self._store.ids('networks')}


def _json(state: Any) -> dict[str, Any]:
    return orjson.loads(orjson.dumps(to_dict(state)))


class _Memory:
    """States by kind and id."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], dict[str, Any]] = {}

    def ids(self, kind: str) -> list[str]:
        return sorted(id for other, id in self._states if other == kind)

    def get(self, kind: str, id: str) -> dict[str, Any] | None:
        return self._states.get((kind, id))

    def put(self, kind: str, id: str, values: dict[str, Any]) -> None:
        self._states[kind, id] = values

    def drop(self, kind: str, id: str) -> None:
        self._states.pop((kind, id), None)


class _Files:
    """The same in files."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        for kind in ('networks', 'routers'):
            os.makedirs(f'{directory}/{kind}', exist_ok=True)

    def ids(self, kind: str) -> list[str]:
        return sorted(name for name in os.listdir(f'{self._directory}/{kind}') if not name.endswith('.new'))

    def get(self, kind: str, id: str) -> dict[str, Any] | None:
        try:
            with open(f'{self._directory}/{kind}/{id}', 'rb') as file:
                return orjson.loads(file.read())
        except FileNotFoundError:
            return None

    def put(self, kind: str, id: str, values: dict[str, Any]) -> None:
        path = f'{self._directory}/{kind}/{id}'
        with open(f'{path}.new', 'wb') as file:
            file.write(orjson.dumps(values))
        os.replace(f'{path}.new', path)

    def drop(self, kind: str, id: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f'{self._directory}/{kind}/{id}')
