"""Which nodes a request tries, in what order, and which are left alone because they fail."""

import itertools
import logging
import random
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from swift.ring.ring import Ring

LOG = logging.getLogger(__name__)

Node = dict[str, Any]
Key = tuple[str, int, str]


def key(node: Node) -> Key:
    """What errors are counted by: a device of a server."""
    return node['ip'], node['port'], node['device']


def name(node: Node) -> str:
    """For the log."""
    return f'{node["ip"]}:{node["port"]}/{node["device"]}'


class ErrorLimits:
    """Nodes that failed more than ``limit`` times are left alone until ``interval`` seconds pass without an error."""

    def __init__(self, limit: int, interval: float) -> None:
        self.limit = limit
        self.interval = interval
        self._errors: dict[Key, tuple[int, float]] = {}

    def limited(self, node: Node) -> bool:
        """Whether the node is left alone."""
        entry = self._errors.get(key(node)) if self._errors else None
        if entry is None:
            return False
        count, last = entry
        if last < time.monotonic() - self.interval:
            del self._errors[key(node)]
            return False
        return count > self.limit

    def error(self, node: Node, why: str) -> None:
        """It failed once more."""
        count, _ = self._errors.get(key(node), (0, 0.0))
        self._errors[key(node)] = count + 1, time.monotonic()
        LOG.error('%s: %s', name(node), why)
        if count == self.limit:
            LOG.error('%s is left alone for %s s', name(node), self.interval)

    def trust(self, node: Node) -> None:
        """It has answered: if it was left alone, that is over."""
        if self._errors and self._errors.get(key(node), (0, 0.0))[0] > self.limit:
            del self._errors[key(node)]

    def limit_now(self, node: Node, why: str) -> None:
        """It is of no use for now (a full disk)."""
        self._errors[key(node)] = self.limit + 1, time.monotonic()
        LOG.error('%s is left alone for %s s: %s', name(node), self.interval, why)


class Sorter:
    """The order in which a policy's replicas are asked."""

    def __init__(self, options: SimpleNamespace, timing_expiry: float) -> None:
        self.options = options
        self.timing_expiry = timing_expiry
        self._timings: dict[str, tuple[float, float]] = {}

    @property
    def measures(self) -> bool:
        """Whether speeds are of interest."""
        return bool(self.options.sorting_method == 'timing')

    def measured(self, node: Node, seconds: float) -> None:
        """How long its answer took."""
        self._timings[node['ip']] = round(seconds, 3), time.monotonic() + self.timing_expiry

    def sort(self, nodes: list[Node]) -> list[Node]:
        """Sorts in place; at random among equals."""
        random.shuffle(nodes)
        if self.options.sorting_method == 'timing':
            now = time.monotonic()
            fresh = {ip: seconds for ip, (seconds, expiry) in self._timings.items() if expiry > now}
            nodes.sort(key=lambda node: fresh.get(node['ip'], -1.0))
        elif self.options.sorting_method == 'affinity' and self.options.read_affinity:
            nodes.sort(key=self.options.read_affinity)
        return nodes


class Nodes:
    """Nodes for one request, the best first: primaries, then handoffs, none twice and none that is error limited."""

    __slots__ = ('_count', '_errors', '_handoffs', '_log', '_order', '_skipped', 'primaries')

    def __init__(self, ring: Ring, part: int, sorter: Sorter, errors: ErrorLimits,
                 request_node_count: Callable[[float], int], *, local_first: bool = False, log: bool = True) -> None:
        primaries = ring.get_part_nodes(part)
        #: how many there should be
        self.primaries = len(primaries)
        self._errors = errors
        self._log = log
        self._count = request_node_count(len(primaries))
        self._handoffs = 0
        self._skipped: list[Node] = []
        near = sorter.options.write_affinity if local_first else None
        if near is None:
            self._order = itertools.chain(sorter.sort(primaries), _later(ring, part))
        else:
            self._order = _near_first(sorter.sort(primaries), ring.get_more_nodes(part), near,
                                      sorter.options.write_affinity_node_count(len(primaries)))

    def __iter__(self) -> Iterator[Node]:
        return self

    def __next__(self) -> Node:
        if self._count <= 0:
            raise StopIteration
        for node in self._order:
            if self._errors.limited(node):
                if 'handoff_index' not in node:
                    self._skipped.append(node)
                continue
            self._count -= 1
            if 'handoff_index' in node and self._log:
                self._handoffs += 1
                LOG.info('handoff requested (%d): %s', self._handoffs, name(node))
            return node
        raise StopIteration

    def revived(self) -> Node | None:
        """A primary that was left alone for its errors, when there is nobody else to turn to."""
        return self._skipped.pop(0) if self._skipped else None


def _later(ring: Ring, part: int) -> Iterator[Node]:
    """Handoffs, looked for only when they are needed."""
    yield from ring.get_more_nodes(part)


def _near_first(primaries: list[Node], handoffs: Iterator[Node], near: Callable[[Node], bool],
                most: int) -> Iterator[Node]:
    """Up to ``most`` local nodes, then all others in their order."""
    everyone = itertools.chain(primaries, handoffs)
    passed: list[Node] = []
    found = 0
    for node in everyone:
        if found < most and near(node):
            found += 1
            yield node
        else:
            passed.append(node)
        if found >= most:
            break
    yield from passed
    yield from everyone
