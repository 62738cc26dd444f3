"""Ports that nobody uses, for servers that cannot be told to choose one themselves."""

import socket

_given: set[int] = set()


def free_port(host: str = '127.0.0.1') -> int:
    """A TCP port free a moment ago, and not handed out before by this process."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
