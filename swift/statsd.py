"""Metrics by UDP, in the form of statsd and under the published names; off unless ``log_statsd_host`` is set.

    [pre.fix.]object-server.PUT.timing:12.3456|ms

A packet a metric, without waiting and without an answer: what the kernel does not take, and what comes
before the host's name is known, is lost.  The name is looked up beside all else, and again each minute.
"""

import contextlib
import ipaddress
import math
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from strata import green
from swift import conf as confs
from swift.conf import Option

#: seconds after which the host's name is looked up again
FRESH = 60.0


def _share(value: str) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError('must be from 0 to 1')
    return share


OPTIONS = {
    'log_statsd_host': Option(confs.text, '', 'who takes metrics, by UDP; none: there are none'),
    'log_statsd_port': Option(confs.positive, 8125, 'its port'),
    'log_statsd_default_sample_rate': Option(_share, 1.0, 'the share of metrics that is sent'),
    'log_statsd_sample_rate_factor': Option(_share, 1.0, 'what that is multiplied by'),
    'log_statsd_metric_prefix': Option(confs.text, '', 'what all names begin with'),
}


class Metrics:
    """Sends the metrics of one server or daemon."""

    def __init__(self, conf: SimpleNamespace, name: str) -> None:
        """``conf`` has the options above; ``name``: ``object-server`` and the like."""
        prefix = conf.log_statsd_metric_prefix.strip('.')
        self._prefix = f'{prefix}.{name}.' if prefix else f'{name}.'
        self._rate = conf.log_statsd_default_sample_rate * conf.log_statsd_sample_rate_factor
        self._end = f'|@{self._rate:g}' if self._rate < 1 else ''
        self._place = conf.log_statsd_host, conf.log_statsd_port
        self._address: Any = None
        self._socket: socket.socket | None = None
        self._fresh_until = 0.0
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(conf.log_statsd_host)
            self._look_up()
            self._fresh_until = math.inf

    def timing(self, metric: str, seconds: float) -> None:
        """How long something took; sent in milliseconds."""
        self._send(metric, f'{seconds * 1000:.4f}|ms')

    def count(self, metric: str, amount: int = 1) -> None:
        """Something has happened so many times."""
        if amount:
            self._send(metric, f'{amount}|c')

    def _send(self, metric: str, value: str) -> None:
        if self._rate < 1 and random.random() >= self._rate:
            return
        if time.monotonic() > self._fresh_until:
            self._fresh_until = time.monotonic() + FRESH
            green.spawn(self._look_up)
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.sendto(f'{self._prefix}{metric}:{value}{self._end}'.encode(), self._address)

    def _look_up(self) -> None:
        try:
            family, kind, _, _, address = socket.getaddrinfo(*self._place, type=socket.SOCK_DGRAM)[0]
        except OSError:
            return
        if self._socket is None or self._socket.family != family:
            self._socket = socket.socket(family, kind)
            self._socket.setblocking(False)
        self._address = address


def load(given: Mapping[str, Any], name: str) -> Metrics | None:
    """The metrics of a section of a conf file; ``None`` if nobody takes them.  Raises ``errors.Invalid``."""
    conf = confs.options(given, OPTIONS, name)
    return Metrics(conf, name) if conf.log_statsd_host else None


class Timed:
    """A storage server whose requests are timed."""

    def __init__(self, app: Any, metrics: Metrics, by_device: bool) -> None:
        """``by_device``: also tell how long each device took for a thousand bytes."""
        self._by_device = by_device
        self.app = app
        self.metrics = metrics
        self.close: Callable[[], Any] = app.close

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began, statuses = time.perf_counter(), ['500']

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses[0] = status
            return start_response(status, headers, exc_info)
        try:
            return self.app(environ, start)
        finally:
            self._tell(environ, int(statuses[0][:3]), time.perf_counter() - began)

    def _tell(self, environ: dict[str, Any], status: int, seconds: float) -> None:
        method = environ['REQUEST_METHOD']
        if status == 405:       # anybody may make up a method
            return
        self.metrics.timing(f'{method}.errors.timing' if status >= 500 else f'{method}.timing', seconds)
        length = environ.get('CONTENT_LENGTH') or '0'
        if self._by_device and method == 'PUT' and status < 300 and length != '0':
            device = environ['PATH_INFO'].split('/', 2)[1]
            self.metrics.timing(f'PUT.{device}.timing', seconds * 1000 / int(length))


def timed(app: Any, given: Mapping[str, Any], name: str) -> Any:
    """The server itself, or one that is timed if anybody takes metrics; raises ``errors.Invalid``."""
    metrics = load(given, name)
    if metrics is None:
        return app
    if name == 'object-server':
        app.store.metrics = metrics
    return Timed(app, metrics, name == 'object-server')
