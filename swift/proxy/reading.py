"""Reads: one replica is asked after the other until one has it; its answer is then handed through.

::

    Search.find:  node -> answer: good  -> Source (the rest of the nodes stays for a resume)
                              -> 404, 412...   noted
                              -> failed        counted against the node, noted as 503
    no node is left: the quorum of what was noted

``X-Newest`` asks all primaries at once and takes the latest.  With
``concurrent_gets`` a slow node is given company rather than up.
"""

import time
from collections.abc import Mapping
from typing import Any

from strata import backend
from strata.backend import Answer, Exchange
from swift.http.response import Response
from swift.proxy import fanout
from swift.proxy.nodes import Node, Nodes, Sorter
from swift.proxy.quorum import SILENT, Reply, best, decided, quorum_size, take_headers
from swift.proxy.stream import Body, Resumed
from swift.timestamp import ZERO, Timestamp

#: bodies up to this size are read before the answer begins, so that a replica dying under it goes unnoticed
WHOLE = 64 * 1024


def age(headers: Mapping[str, str]) -> Timestamp:
    """When what an answer shows was written."""
    for name in ('x-backend-data-timestamp', 'x-backend-timestamp', 'x-put-timestamp', 'x-timestamp'):
        value = headers.get(name)
        if value:
            try:
                return Timestamp(value)
            except ValueError:
                pass
    return ZERO


class Source:
    """A node and its good answer."""

    __slots__ = ('answer', 'node')

    def __init__(self, node: Node, answer: Answer) -> None:
        self.node = node
        self.answer = answer


class Search:
    """A search for a good answer to one GET or HEAD."""

    def __init__(self, app: Any, nodes: Nodes, part: int, method: str, path: str, headers: dict[str, str], *,
                 timeout: float, sorter: Sorter, concurrency: int = 1, whole: bool = True) -> None:
        """``path``: quoted, from the account on, with its query; ``whole``: read every body at once."""
        self.app = app
        self.nodes = nodes
        self.part = part
        self.method = method
        self.path = path
        self.headers = headers
        self.timeout = timeout
        self.sorter = sorter
        self.concurrency = concurrency
        self.whole = whole
        self.replies: list[Reply] = []
        self._running: dict[Exchange, tuple[Node, float]] = {}
        #: objects deleted then must not rise again from a replica that missed it
        self._deleted = ZERO

    def respond(self, newest: bool = False) -> Response:
        """The answer for the client."""
        while True:
            source = self._newest() if newest else self.find()
            if source is None:
                return self._worst()
            response = self._response(source)
            if response is not None:
                return response
            newest = False

    def _worst(self) -> Response:
        count = self.nodes.primaries
        replies = self.replies + [SILENT] * (count - len(self.replies))
        return best(replies, quorum_size(len(replies)))

    def _response(self, source: Source) -> Response | None:
        """The answer of a source; ``None`` if it died while its body was read."""
        answer = source.answer
        length = answer.headers.get('content-length')
        body: Any
        try:
            if answer.ended or self.whole or (length is not None and int(length) <= WHOLE):
                body = answer.body()
            else:
                body = Body(answer, Resumed(self, answer), self.app.conf.object_chunk_size)
        except backend.Failed as error:
            self._failed(source.node, error)
            return None
        self._abandon()
        response = Response(answer.status, body)
        headers = response.headers
        take_headers(headers, answer.headers)
        kind = answer.headers.get('content-type')
        if kind is not None:
            headers['Content-Type'] = kind
        if isinstance(body, Body) and body.boundary:
            headers['Content-Type'] = f'multipart/byteranges;boundary={body.boundary}'
            length = str(body.size)
        if length is not None:
            headers['Content-Length'] = length
        headers['Accept-Ranges'] = 'bytes'
        return response

    def _next(self) -> Node | None:
        """Whom to ask next; nodes that are left alone only if the others do not settle it."""
        node = next(self.nodes, None)
        if node is None and not decided([each.status for each in self.replies], quorum_size(self.nodes.primaries)):
            node = self.nodes.revived()
        return node

    def find(self) -> Source | None:
        """The next good source."""
        if self.concurrency > 1:
            return self._race()
        while (node := self._next()) is not None:
            exchange = self._begin(node)
            if exchange is None:
                continue
            began = time.monotonic() if self.sorter.measures else 0.0
            source = self._judge(node, exchange)
            if began:
                self.sorter.measured(node, time.monotonic() - began)
            if source is not None:
                return source
        return None

    def _race(self) -> Source | None:
        """As ``find``, with more nodes in the race the longer it takes."""
        patience = self.app.concurrency_timeout(self.sorter)
        while True:
            room = len(self._running) < self.concurrency
            node = self._next() if room else None
            if node is not None:
                exchange = self._begin(node)
                if exchange is None:
                    continue
                self._running[exchange] = node, time.monotonic() + self.timeout
            if not self._running:
                return None
            source = self._first(patience if room and node is not None else self.timeout)
            if source is not None:
                return source

    def _first(self, seconds: float) -> Source | None:
        """Judge whatever comes within ``seconds``, and give up those whose time is over."""
        end = min(until for _, until in self._running.values()) - time.monotonic()
        for exchange in backend.ready(self._running, max(0.0, min(seconds, end))):
            node, _ = self._running.pop(exchange)
            source = self._judge(node, exchange)
            if source is not None:
                return source
        now = time.monotonic()
        for exchange, (node, until) in list(self._running.items()):
            if until <= now:
                del self._running[exchange]
                exchange.close()
                self._failed(node, f'no answer within {self.timeout} s')
        return None

    def _newest(self) -> Source | None:
        """The latest of all primaries, or of handoffs where those fail."""
        found: list[Source] = []
        while True:
            concluded = len(found) + sum(1 for each in self.replies if each.status != 503)
            while concluded + len(self._running) < self.nodes.primaries:
                node = self._next()
                if node is None:
                    break
                exchange = self._begin(node)
                if exchange is not None:
                    self._running[exchange] = node, time.monotonic() + self.timeout
            if not self._running:
                return self._latest(found)
            source = self._first(self.timeout)
            if source is not None:
                found.append(source)

    def _latest(self, found: list[Source]) -> Source | None:
        found.sort(key=lambda source: age(source.answer.headers))
        chosen = found.pop() if found else None
        for source in found:
            source.answer.close()
        if chosen is not None and age(chosen.answer.headers) < self._deleted:
            chosen.answer.close()
            return None
        return chosen

    def _begin(self, node: Node) -> Exchange | None:
        exchange = fanout.begin(self.app, node, self.part, self.method, self.path, self.headers, None)
        if exchange is None:
            self._note(node, SILENT)
        else:
            exchange.timeout = self.timeout
        return exchange

    def _failed(self, node: Node, why: object) -> None:
        self.app.errors.error(node, f'{self.method} {self.path}: {why}')
        self._note(node, SILENT)

    def _note(self, node: Node, reply: Reply) -> None:
        """Remember a reply; handoffs count only when they know something."""
        if 'handoff_index' in node and (reply.status >= 500 or (
                reply.status == 404 and not reply.headers.get('x-backend-timestamp'))):
            return
        self.replies.append(reply)

    def _judge(self, node: Node, exchange: Exchange) -> Source | None:
        """The source, if the answer is good; else it is noted."""
        try:
            answer = exchange.answer()
            status = answer.status
            if status < 500:
                self.app.errors.trust(node)
            if status < 400 or status == 416:
                if not self._deleted or age(answer.headers) >= self._deleted:
                    return Source(node, answer)
                answer.close()
                self._note(node, Reply(404, 'Not Found'))
                return None
            body = answer.body(fanout.BODY)
        except backend.Failed as error:
            self._failed(node, error)
            return None
        reply = Reply(status, answer.reason, answer.headers, body)
        if fanout.failed(self.app, node, reply, self.method):
            self._note(node, SILENT)
            return None
        if status == 404 and 'x-backend-timestamp' in answer.headers:
            self._deleted = max(self._deleted, age({'x-timestamp': answer.headers['x-backend-timestamp']}))
        self._note(node, reply)
        return None

    def _abandon(self) -> None:
        """Let the other runners of a race go."""
        for exchange in self._running:
            exchange.close()
        self._running.clear()
