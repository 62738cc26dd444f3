"""Objects on their way in.

A short body is read first and sent to all replicas in one go: whatever fails
then can be sent again, to a handoff.  A longer one is streamed to all replicas
side by side, once enough of them have said ``100 Continue``; one that fails on
the way is left out as long as a quorum is left.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from strata import backend
from strata.backend import Exchange
from strata.wsgi.body import BodyMalformed, ClientDisconnected, gather
from swift.http.response import HttpError, Response
from swift.proxy import fanout
from swift.proxy.call import TEXT, Call, Headers
from swift.proxy.nodes import Node, Nodes
from swift.proxy.quorum import SILENT, Reply, best, quorum_size
from swift.timestamp import Timestamp

#: bytes of a body that is held in memory
SHORT = 128 * 1024
#: of a longer one, so much is handed on at a time if it is there
MUCH = 1 << 20

Footers = dict[str, str]


def store(call: Call, nodes: Nodes, part: int, headers: list[Headers]) -> Response:
    """Send the request's body to the replicas."""
    length = call.req.message_length()
    footers: Callable[[Footers], None] | None = call.environ.get('swift.callback.update_footers')
    quorum = quorum_size(nodes.primaries)
    if length is not None and length > SHORT:
        replies = _Upload(call, nodes, part, length, quorum, footers).run(headers)
        return conclude(call, replies, quorum)
    body = _read_all(call, SHORT + 1 if length is None else length)
    if length is None and len(body) > SHORT:
        replies = _Upload(call, nodes, part, None, quorum, footers, body).run(headers)
        return conclude(call, replies, quorum)
    if len(body) < (length or 0):
        raise HttpError(499)
    if footers is not None:
        _read(call, 1)      # filters are to see the end of the body
        late: Footers = {}
        footers(late)
        headers = [{**each, **late} for each in headers]
    replies = fanout.fan_out(call.app, nodes, part, 'PUT', call.path, headers, quorum=quorum, body=body)
    return conclude(call, replies, quorum)


def conclude(call: Call, replies: list[Reply], quorum: int) -> Response:
    """What the client is told of the replicas' answers."""
    response = best(replies, quorum)
    if response.status == 409:      # a newer one is there already, as if this one had come first
        return HttpError(202).response()
    if not response.is_success:
        return response
    etags = {reply.headers.get('etag', '').strip('"') for reply in replies if reply.status == 201}
    if len(etags) > 1:
        call.app.log.error('%s: the servers computed different etags: %s', call.path, sorted(etags))
        return HttpError(500).response()
    response.headers['Last-Modified'] = Timestamp(call.environ['HTTP_X_TIMESTAMP']).last_modified
    return response


def _read_all(call: Call, size: int) -> bytes:
    """As ``_read``, though a filter in between hands out less at a time."""
    data = _read(call, size) if size else b''
    while data and len(data) < size:
        more = _read(call, size - len(data))
        if not more:
            break
        data += more
    return data


def _read(call: Call, size: int, most: int = 0) -> bytes:
    """``size`` bytes of the body, fewer only at its end; raises ``HttpError`` 400, 408, 413 or 499.

    ``most``: more are welcome, up to so many, if they are there already.
    """
    stream = call.req.input
    try:
        return gather(stream, size, most) if most > size else stream.read(size)
    except ClientDisconnected:
        raise HttpError(499) from None
    except BodyMalformed as error:
        raise HttpError(400, str(error), TEXT) from error
    except OSError as error:
        raise HttpError(getattr(error, 'status', 499)) from error


class _Upload:
    """One body, streamed to several servers."""

    def __init__(self, call: Call, nodes: Nodes, part: int, length: int | None, quorum: int,
                 footers: Callable[[Footers], None] | None, begun: bytes = b'') -> None:
        """``begun``: what has been read of the body already."""
        self.call = call
        self.app: Any = call.app
        self.nodes = nodes
        self.part = part
        self.path = call.path
        self.length = length
        self.quorum = quorum
        self.footers = footers
        self.begun = begun
        self.boundary = uuid.uuid4().hex if footers else ''
        #: requests under way, or answered
        self.asked = 0
        self.open: dict[Exchange, Node] = {}
        self.replies: list[Reply] = []

    def run(self, headers: list[Headers]) -> list[Reply]:
        """The replies of all, 503 where there was none."""
        try:
            self._connect(headers)
            if len(self.open) < self.quorum:
                self._close()
                if any(reply.status == 409 for reply in self.replies):
                    return [Reply(409)] * len(headers)
                return self.replies + [SILENT] * (len(headers) - len(self.replies))
            self._transfer()
        except BaseException:
            self._close()
            raise
        late = time.monotonic() + self.app.conf.node_timeout
        waiting = {exchange: (node, {}, late) for exchange, node in self.open.items()}
        found = fanout.collect(self.app, waiting, 'PUT', self.quorum, self.replies)
        return found + [SILENT] * (len(headers) - len(found))

    def _close(self) -> None:
        for exchange in self.open:
            exchange.close()
        self.open.clear()

    def _connect(self, headers: list[Headers]) -> None:
        """Ask all for leave at once, then hear each; those that fail are replaced by handoffs."""
        asked = [self._ask(each) for each in headers]
        for place, each in enumerate(headers):
            one = asked[place]
            while one is not None and not self._heard(*one):
                one = self._ask(each)

    def _ask(self, headers: Headers) -> tuple[Node, Exchange] | None:
        """Open an exchange with the next node that can be reached."""
        if self.boundary:
            headers = {**headers, 'X-Backend-Obj-Multipart-Mime-Boundary': self.boundary,
                       'X-Backend-Obj-Metadata-Footer': 'yes'}
            headers.pop('Etag', None)
            if self.length is not None:
                headers['X-Backend-Obj-Content-Length'] = str(self.length)
        while (node := self._next()) is not None:
            try:
                exchange = self.app.pool.open(
                    node['ip'], node['port'], 'PUT', f'/{node["device"]}/{self.part}{self.path}', headers,
                    length=None if self.boundary else self.length, expect=True, timeout=self.app.conf.node_timeout)
            except backend.Failed as error:
                self.app.errors.error(node, f'PUT {self.path}: {error}')
                continue
            self.asked += 1
            return node, exchange
        return None

    def _next(self) -> Node | None:
        """Whom to ask next; nodes that are left alone only if a quorum needs them."""
        node = next(self.nodes, None)
        return self.nodes.revived() if node is None and self.asked < self.quorum else node

    def _heard(self, node: Node, exchange: Exchange) -> bool:
        """Whether the node has answered: with ``100 Continue``, or a reply that counts."""
        try:
            answer = exchange.await_continue()
            if answer is None:
                self.app.errors.trust(node)
                self.open[exchange] = node
                return True
            reply = Reply(answer.status, answer.reason, answer.headers, answer.body(fanout.BODY))
        except backend.Failed as error:
            self.app.errors.error(node, f'PUT {self.path}: {error}')
            self.asked -= 1
            return False
        if fanout.failed(self.app, node, reply, 'PUT'):
            self.asked -= 1
            return False
        self.replies.append(reply)
        return True

    def _transfer(self) -> None:
        """Hand the body on; raises ``HttpError`` if it is too long, too short, or too few servers are left."""
        size, limit = 0, self.app.constraints.max_file_size
        chunk = self.app.conf.client_chunk_size
        if self.boundary:
            self._send(f'--{self.boundary}\r\nX-Document: object body\r\n\r\n'.encode())
        while data := self.begun or _read(self.call, chunk, MUCH):
            self.begun = b''
            size += len(data)
            if size > limit:
                raise HttpError(413, 'Your request is too large.', TEXT)
            self._send(data)
        if self.length is not None and size < self.length:
            raise HttpError(499)
        if self.footers is not None:
            self._send_footers()
        for exchange in self.open:
            exchange.end()

    def _send(self, data: bytes) -> None:
        failed = []
        for exchange, node in self.open.items():
            try:
                exchange.send(data)
            except backend.Failed as error:
                self.app.errors.error(node, f'PUT {self.path}: {error}')
                failed.append(exchange)
        for exchange in failed:
            self.open.pop(exchange)
            exchange.close()
        if failed and len(self.open) < self.quorum:
            raise HttpError(503)

    def _send_footers(self) -> None:
        """What filters know only at the end, as the second part of the document."""
        assert self.footers is not None
        late: Footers = {}
        given = self.call.req.headers.get('Etag')
        if given:
            late['Etag'] = given
        self.footers(late)
        text = json.dumps(late).encode()
        check = hashlib.md5(text, usedforsecurity=False).hexdigest()
        self._send(b'\r\n--%b\r\nX-Document: object metadata\r\nContent-MD5: %b\r\n\r\n%b\r\n--%b--\r\n' % (
            self.boundary.encode(), check.encode(), text, self.boundary.encode()))
