"""Writes: the same request to all replicas at once, with handoffs for those that fail.

No greenlets: the requests are sent one after the other, which takes
microseconds, and then whichever answer comes first is read first.
"""

import time
from collections.abc import Sequence
from typing import Any

from strata import backend
from strata.backend import Exchange
from swift.proxy.nodes import Node, Nodes
from swift.proxy.quorum import SILENT, Reply, decided

Headers = dict[str, str]
#: of an answer to a write; more than a page is not to be expected
BODY = 64 * 1024


def fan_out(app: Any, nodes: Nodes, part: int, method: str, path: str, headers: Sequence[Headers], *,
            quorum: int, body: bytes | None = None) -> list[Reply]:
    """One request for each of ``headers``; as many replies, 503 where there was none.

    ``path``: quoted, from the account on, with its query.  Once ``quorum``
    replies agree, the others get ``post_quorum_timeout`` seconds.
    """
    return _Fan(app, nodes, part, method, path, quorum, body).run(list(reversed(headers)))


def collect(app: Any, waiting: dict[Exchange, tuple[Node, Headers, float]], method: str, quorum: int,
            replies: list[Reply]) -> list[Reply]:
    """``replies``, and those still to come to requests that cannot be sent again; 503 for those that fail."""
    fan = _Fan(app, None, 0, method, '', quorum, None)
    fan.waiting, fan.replies = waiting, replies
    return fan.run([])


class _Fan:
    def __init__(self, app: Any, nodes: Nodes | None, part: int, method: str, path: str, quorum: int,
                 body: bytes | None) -> None:
        self.app = app
        self.nodes = nodes
        self.part = part
        self.method = method
        self.path = path
        self.quorum = quorum
        self.body = body
        #: what has no node yet
        self.unsent: list[Headers] = []
        self.waiting: dict[Exchange, tuple[Node, Headers, float]] = {}
        self.replies: list[Reply] = []

    def run(self, headers: list[Headers]) -> list[Reply]:
        self.unsent = headers
        deadline: float | None = None
        while self.unsent or self.waiting:
            self._send()
            if deadline is None and decided([each.status for each in self.replies], self.quorum):
                deadline = time.monotonic() + self.app.conf.post_quorum_timeout
            if self.waiting and not self._receive(deadline):
                break
        for exchange in self.waiting:
            exchange.close()
            self.replies.append(SILENT)
        return self.replies

    def _send(self) -> None:
        """Find a node for each that has none."""
        while self.unsent:
            node = self._next()
            if node is None:
                self.replies += [SILENT] * len(self.unsent)
                self.unsent.clear()
                return
            headers = self.unsent[-1]
            exchange = begin(self.app, node, self.part, self.method, self.path, headers, self.body)
            if exchange is not None:
                self.waiting[exchange] = node, self.unsent.pop(), time.monotonic() + self.app.conf.node_timeout

    def _next(self) -> Node | None:
        """Whom to tell next; nodes that are left alone only if a quorum needs them."""
        if self.nodes is None:
            return None
        node = next(self.nodes, None)
        if node is None and len(self.waiting) + len(self.replies) < self.quorum:
            node = self.nodes.revived()
        return node

    def _receive(self, deadline: float | None) -> bool:
        """Take what has come; ``False`` when the time after the quorum is over."""
        end = min(until for _, _, until in self.waiting.values())
        if deadline is not None:
            end = min(end, deadline)
        found = backend.ready(self.waiting, max(0.0, end - time.monotonic()))
        for exchange in found:
            node, headers, _ = self.waiting.pop(exchange)
            reply = receive(self.app, node, exchange)
            if reply is None:
                self.unsent.append(headers)
            else:
                self.replies.append(reply)
        if not found:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            self._give_up_late()
        return True

    def _give_up_late(self) -> None:
        now = time.monotonic()
        for exchange, (node, headers, until) in list(self.waiting.items()):
            if until <= now:
                del self.waiting[exchange]
                exchange.close()
                self.app.errors.error(node, f'{self.method} {self.path}: no answer in time')
                self.unsent.append(headers)


def begin(app: Any, node: Node, part: int, method: str, path: str, headers: Headers,
          body: bytes | None) -> Exchange | None:
    """Send a request to a node; ``None`` if it cannot be reached, which is counted against it."""
    try:
        return app.pool.begin(node['ip'], node['port'], method, f'/{node["device"]}/{part}{path}', headers, body,
                              app.conf.node_timeout)
    except backend.Failed as error:
        app.errors.error(node, f'{method} {path}: {error}')
        return None


def receive(app: Any, node: Node, exchange: Exchange) -> Reply | None:
    """A node's reply; ``None`` if it failed, which is counted against it."""
    try:
        answer = exchange.answer()
        body = answer.body(BODY)
    except backend.Failed as error:
        app.errors.error(node, f'{exchange.method}: {error}')
        return None
    reply = Reply(answer.status, answer.reason, answer.headers, body)
    if failed(app, node, reply, exchange.method):
        return None
    app.errors.trust(node)
    return reply


def failed(app: Any, node: Node, reply: Any, what: str) -> bool:
    """Whether a reply says that the node cannot serve (5xx); counts it against the node."""
    if reply.status < 500:
        return False
    if reply.status == 507:
        app.errors.limit_now(node, '507 Insufficient Storage')
    elif reply.status not in (503, 529):
        app.errors.error(node, f'{what}: {reply.status} {reply.reason}')
    return True
