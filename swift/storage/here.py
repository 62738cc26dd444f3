"""Which devices of a ring are this host's own."""

import socket
from collections.abc import Iterable, Mapping
from typing import Any


class Here:
    """Tells which devices of a ring are this server's."""

    def __init__(self, bind_ip: str, bind_port: int | None) -> None:
        """``bind_port``: of the server whose devices they are; ``None``: every device of this host."""
        self.bind_ip = bind_ip
        self.bind_port = bind_port
        self._known: dict[str, bool] = {}

    def owns(self, device: Mapping[str, Any]) -> bool:
        """Whether the device is looked after from here."""
        for ip, port in ((device.get('replication_ip') or device['ip'],
                          device.get('replication_port') or device['port']), (device['ip'], device['port'])):
            if self.bind_port in (None, port) and self._is_mine(ip):
                return True
        return False

    def _is_mine(self, ip: str) -> bool:
        if self.bind_ip not in ('', '0.0.0.0', '::'):
            return ip == self.bind_ip
        if ip not in self._known:
            family = socket.AF_INET6 if ':' in ip else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((ip, 0))
                    self._known[ip] = True
                except OSError:
                    self._known[ip] = False
        return self._known[ip]


def local_devices(ring: Any, here: Here, only: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Devices of the ring that are ours, in the order of their ids; ``only``: those of these names."""
    ring.refresh()
    wanted = set(only) if only else None
    return [device for device in ring.devs if device and here.owns(device)
            and (wanted is None or device['device'] in wanted)]
