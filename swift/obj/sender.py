"""Bringing objects of a partition to another replica: what differs is found by suffix, then by object, then sent.

The other side is ``receiver``.  Nothing here deletes; ``brought`` says which files
the peer has for certain, so that a handoff can let go of them.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from strata import backend
from swift.obj import hashes, metadata
from swift.obj.diskfile import DiskFile
from swift.obj.errors import BadMetadata
from swift.obj.receiver import MOST, counted, framed
from swift.obj.store import Store
from swift.policies import Policy
from swift.storage import pickles
from swift.storage.errors import PeerFailed, Unsafe

LOG = logging.getLogger(__name__)

PIECE = 1 << 20
#: bodies of this size are sent together with their heads
TOGETHER = 1 << 16

Node = Mapping[str, Any]
#: files of objects that count, by the objects' hashes
States = dict[str, list[str]]


class Partition:
    """One partition of one device of ours."""

    def __init__(self, store: Store, pool: backend.Pool, device: str, partition: int, policy: Policy,
                 timeout: float) -> None:
        """``timeout``: seconds that a peer may be silent."""
        self.store = store
        self.pool = pool
        self.device = device
        self.partition = partition
        self.policy = policy
        self.timeout = timeout
        self.path = store.partition_path(device, partition, policy)
        #: files sent, and their bytes
        self.sent = self.sent_bytes = 0

    # -- what is here

    def hashes(self, suffixes: Iterable[str] = (), *, listing: bool = False) -> tuple[int, dict[str, str]]:
        """How many suffixes were hashed anew, and the hash of each."""
        return self.store.hashes(self.device, self.partition, list(suffixes), self.policy, listing=listing)

    def states(self, suffixes: Iterable[str] | None = None) -> Iterator[States]:
        """The objects of some suffixes (of all), in portions for one comparison."""
        portion: States = {}
        for suffix in hashes.suffixes(self.path) if suffixes is None else sorted(suffixes):
            for digest in hashes.objects(f'{self.path}/{suffix}'):
                try:
                    found, _ = hashes.clean(f'{self.path}/{suffix}/{digest}', self.store.reclaim_age)
                except NotADirectoryError:
                    continue
                names = counted(found)
                if names:
                    portion[digest] = names
                if len(portion) >= MOST:
                    yield portion
                    portion = {}
        if portion:
            yield portion

    # -- what is there

    def remote_hashes(self, peer: Node, suffixes: Iterable[str] = ()) -> dict[str, str]:
        """The peer's hashes; raises ``PeerFailed`` or ``backend.Failed``."""
        wanted = '-'.join(sorted(suffixes))
        answer = self._ask(peer, 'REPLICATE', f'/{wanted}' if wanted else '', b'')
        try:
            found = pickles.loads(answer.body())
        except Unsafe as error:
            raise PeerFailed(peer=where(peer), answer=f'rubbish: {error}') from error
        return found if isinstance(found, dict) else {}

    def differing(self, peer: Node, ours: dict[str, str]) -> list[str]:
        """Suffixes of ours that the peer has otherwise, or not at all; nothing old is believed."""
        known = self.remote_hashes(peer)
        suspects = [suffix for suffix, digest in ours.items() if known.get(suffix) != digest]
        if not suspects:
            return []
        _, fresh = self.hashes(suspects)
        theirs = self.remote_hashes(peer, suspects)
        return [suffix for suffix in suspects if suffix in fresh and theirs.get(suffix) != fresh[suffix]]

    def bring(self, peer: Node, states: States) -> bool:
        """Give the peer all of these files that it wants; whether it has them now."""
        answer = self._ask(peer, 'SSYNC', '', orjson.dumps(states))
        asked: Any = orjson.loads(answer.body())
        whole = True
        for digest, names in asked.items():
            offered = states.get(digest, ())
            for name in names:
                if name in offered:     # what else it asks for is none of its business
                    whole = self._send(peer, digest, name) and whole
        return whole

    def _send(self, peer: Node, digest: str, name: str) -> bool:
        path = f'{self.path}/{digest[-3:]}/{digest}/{name}'
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(path, 'rb'))
            except FileNotFoundError:
                return True     # something newer has come, and will be brought as such
            try:
                head = framed(metadata.read(file.fileno()))
            except BadMetadata as error:
                self._file(digest).quarantine(str(error))
                return False
            size = os.fstat(file.fileno()).st_size if name.endswith('.data') else 0
            status = self._post(peer, f'/{digest}/{name}', head, file, size)
        if status in (200, 201):
            self.sent += 1
            self.sent_bytes += size
            return True
        if status == 422 and name.endswith('.data'):
            self._suspect(digest, path)
            return False
        raise PeerFailed(peer=where(peer), answer=status)

    def _post(self, peer: Node, path: str, head: bytes, file: Any, size: int) -> int:
        address = f'/{peer["device"]}/{self.partition}{path}'
        headers = {'X-Backend-Storage-Policy-Index': str(self.policy.index)}
        if size <= TOGETHER:
            answer = self.pool.request(ip(peer), port(peer), 'SSYNC', address, headers, head + file.read(),
                                       timeout=self.timeout)
        else:
            exchange = self.pool.open(ip(peer), port(peer), 'SSYNC', address, headers, length=len(head) + size,
                                      timeout=self.timeout)
            exchange.send(head)
            left = size
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                exchange.send(piece)
            exchange.end()
            answer = exchange.answer()
        answer.body()
        return answer.status

    def _suspect(self, digest: str, path: str) -> None:
        """The peer says a file of ours is broken: look, and put it aside if so."""
        md5 = hashlib.md5(usedforsecurity=False)
        try:
            with open(path, 'rb') as file:
                said = metadata.read(file.fileno())
                while piece := file.read(PIECE):
                    md5.update(piece)
        except (OSError, BadMetadata) as error:
            LOG.warning('%s: %s', path, error)
            return
        if said.get('ETag', '').lower() != md5.hexdigest():
            self._file(digest).quarantine('its data have another MD5 than its metadata say')

    def _file(self, digest: str) -> DiskFile:
        return DiskFile(self.store, self.device, str(self.partition), self.policy, digest)

    def _ask(self, peer: Node, method: str, path: str, body: bytes) -> backend.Answer:
        answer = self.pool.request(ip(peer), port(peer), method, f'/{peer["device"]}/{self.partition}{path}',
                                   {'X-Backend-Storage-Policy-Index': str(self.policy.index)}, body,
                                   timeout=self.timeout)
        if answer.status != 200:
            answer.body()
            raise PeerFailed(peer=where(peer), answer=answer.status)
        return answer

    # -- letting go

    def let_go(self, states: States) -> int:
        """Remove these very files, which are where they belong by now; how many objects went."""
        gone = 0
        for digest, names in states.items():
            self._file(digest).discard(names)
            gone += 1
        return gone


def ip(peer: Node) -> str:
    """Its address for replication."""
    return str(peer.get('replication_ip') or peer['ip'])


def port(peer: Node) -> int:
    """Its port for replication."""
    return int(peer.get('replication_port') or peer['port'])


def where(peer: Node) -> str:
    """It, in a log."""
    return f'{ip(peer)}:{port(peer)}/{peer["device"]}'
