"""Copies containers to other clusters: those with X-Container-Sync-To and X-Container-Sync-Key.

Every node that has a replica of the container goes over its rows.  Two points
tell how far it has come::

        sync_point2                     sync_point1
    ----|-------------------------------|------------------------->  ROWID
    done  sent by the node it is up to;   each node sends the rows that are
          sent by all again, to be sure   up to it, by the hash of the name

A row that fails holds up no other: sync_point2 stays before it, and what follows it
is sent again with the next run.

What the other side has already is refused there by its time (409, or 404 for a
deletion), so sending twice does no harm; and it is asked first (HEAD), so that a body that
it has, with the same MD5 and no older, is not sent at all.  That is for realms; the key of a container,
which goes with a target that is a URL, lets nobody read.
"""

import collections
import hashlib
import logging
import os
import random
import time
import urllib.parse
import uuid
from collections.abc import Mapping
from typing import Any

from strata import errors, http
from swift import conf as confs
from swift import realms, recon
from swift.conf import Option
from swift.container.backend import ContainerBroker
from swift.daemon import Daemon
from swift.db import connections, walk
from swift.db.broker import Item
from swift.db.errors import DatabaseCorrupt, DatabaseMissing
from swift.http import path as paths
from swift.http.response import Response
from swift.internal_client import InternalClient, Unexpected
from swift.ring.hashing import HashPath
from swift.ring.ring import Ring
from swift.storage.devices import Devices
from swift.storage.errors import NotMounted
from swift.storage.here import Here
from swift.timestamp import Timestamp, decode

LOG = logging.getLogger(__name__)

SYNC_TO, SYNC_KEY = 'X-Container-Sync-To', 'X-Container-Sync-Key'
BATCH = 1000
#: headers of an object's answer that are not sent on
OWN = frozenset({'Content-Length', 'Last-Modified', 'Accept-Ranges', 'Date', 'X-Trans-Id', 'X-Openstack-Request-Id',
                 'Connection', 'Transfer-Encoding', 'X-Timestamp', 'Etag'})


class Target:
    """Where a container's objects go, and how requests there are signed."""

    def __init__(self, known: realms.Realms, to: str, key: str, allowed_hosts: list[str]) -> None:
        """Raises ``errors.Invalid`` for a target that is not allowed (any more)."""
        fault = known.fault(to, allowed_hosts)
        if fault:
            raise errors.Invalid(fault)
        self.user_key = key
        self.realm = self.realm_key = ''
        if to.startswith('//'):
            realm, cluster, rest = to[2:].split('/', 2)
            self.realm, self.realm_key = realm.upper(), known.key(realm) or ''
            to = f'{known.endpoint(realm, cluster)}{paths.quote(rest)}'
        self.url = to.rstrip('/')

    def request(self, method: str, name: str, timestamp: Timestamp) -> tuple[str, dict[str, str]]:
        """URL and headers for an object."""
        url = f'{self.url}/{paths.quote(name)}'
        headers = {'X-Timestamp': timestamp.internal}
        if self.realm:
            nonce = uuid.uuid4().hex
            signature = realms.sign(method, urllib.parse.urlsplit(url).path, timestamp.internal, nonce,
                                    self.realm_key, self.user_key)
            headers['X-Container-Sync-Auth'] = f'{self.realm} {nonce} {signature}'
        else:
            headers['X-Container-Sync-Key'] = self.user_key
        return url, headers


class ContainerSync(Daemon):
    """Copy containers to other clusters."""

    SECTION = 'container-sync'
    INTERVAL = 300
    METRICS = {name: name for name in ('failures', 'syncs', 'deletes', 'puts')}
    OPTIONS = {
        'bind_ip': Option(confs.text, '0.0.0.0', 'the address of the server whose devices these are'),
        'bind_port': Option(confs.positive, None, 'its port'),
        'container_time': Option(confs.number, 60.0, 'the most seconds for one container in a run'),
        'sync_proxy': Option(confs.commas, [], 'HTTP proxies, one of which is used'),
        'allowed_sync_hosts': Option(confs.commas, ['127.0.0.1'], 'hosts that containers may be synchronised to'),
        'internal_client_conf_path': Option(confs.text, '', "the pipeline; default: swift_dir's internal-client.conf"),
        'conn_timeout': Option(confs.number, 5.0, 'seconds to connect to the other cluster'),
        'request_tries': Option(confs.positive, 3, 'how often a request is tried'),
    }

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        self.hashing = HashPath.load(os.path.join(self.conf.swift_dir, 'swift.conf'))
        self.ring = Ring(self.conf.swift_dir, self.hashing, name='container')
        self.devices = Devices(self.conf.devices, mount_check=self.conf.mount_check)
        self.here = Here(self.conf.bind_ip, self.conf.bind_port)
        self.connections = connections.Connections()
        path = self.conf.internal_client_conf_path or os.path.join(self.conf.swift_dir, 'internal-client.conf')
        # manifests are sent as they are stored; links say what they are by their own filter
        self.client = InternalClient(path, 'Swift Container Sync', self.conf.request_tries,
                                     without=('copy', 'slo', 'dlo'))
        self.remote = http.Client(timeout=60, connect_timeout=self.conf.conn_timeout, retries=0,
                                  service='The other cluster',
                                  proxy=random.choice(self.conf.sync_proxy) if self.conf.sync_proxy else None)
        self.realms = realms.Realms.load(self.conf.swift_dir)
        self.counts: collections.Counter[str] = collections.Counter()

    def close(self) -> None:
        """Close databases."""
        self.connections.close()
        self.remote.close()

    def run_once(self, devices: list[str] | None = None, partitions: list[str] | None = None, **_: Any) -> None:
        """One pass over the container databases of this host."""
        began = time.time()
        self.counts.clear()
        self.realms = realms.Realms.load(self.conf.swift_dir)
        found = []
        for name in self.devices.names():
            if devices and name not in devices:
                continue
            try:
                found += [(name, path) for _, path in walk.databases(self.devices.path(name), ContainerBroker.datadir,
                                                                     partitions)]
            except NotMounted as error:
                LOG.warning('%s; its containers are not synchronised', error)
        random.shuffle(found)
        for device, path in found:
            self._look(device, path)
        LOG.info('containers synchronised %d, objects put %d, deleted %d, failures %d, in %.1f s', self.counts['syncs'],
                 self.counts['puts'], self.counts['deletes'], self.counts['failures'], time.time() - began)
        self.measured(self.counts)
        recon.dump(self.conf.recon_cache_path, 'container', {
            'container_sync_time': time.time() - began, 'container_sync_stats': dict(self.counts)})

    def _look(self, device: str, path: str) -> None:
        try:
            broker = ContainerBroker(self.connections, path)
            info = broker.info()
            metadata = broker.parsed_metadata(info)
            to, key = (metadata.get(name, [''])[0] for name in (SYNC_TO, SYNC_KEY))
            if not to or not key or broker.is_deleted(info):
                return
            nodes = self.ring.get_nodes(info['account'], info['container'])[1]
            mine = [node for node in nodes if node['device'] == device and self.here.owns(node)]
            if mine:    # of handoffs nothing is sent; the replicator brings them home
                self._sync(broker, info, Target(self.realms, to, key, self.conf.allowed_sync_hosts),
                           mine[0]['index'], len(nodes))
        except DatabaseMissing:
            return
        except (DatabaseCorrupt, errors.Error) as error:
            self.counts['failures'] += 1
            LOG.warning('%s is not synchronised: %s', path, error)
        except Exception:
            self.counts['failures'] += 1
            LOG.exception('%s is not synchronised', path)

    def _sync(self, broker: ContainerBroker, info: Item, target: Target, ordinal: int, nodes: int) -> None:
        self.counts['syncs'] += 1
        first, second = int(info['x_container_sync_point1']), int(info['x_container_sync_point2'])
        end = time.monotonic() + self.conf.container_time
        # half of the time at most, for what is refused again and again must not keep new rows waiting
        done = self._send_rows(broker, info, target, second, first, lambda _: True,
                               end - self.conf.container_time / 2)[1]
        reached = self._send_rows(broker, info, target, first, None, lambda turn: turn % nodes == ordinal, end)[0]
        # a row of ours that failed just now lies between the two, and is sent again with the next run
        broker.advance_sync_points(info, reached, done)

    def _send_rows(self, broker: ContainerBroker, info: Item, target: Target, start: int, stop: int | None,
                   is_mine: Any, end: float) -> tuple[int, int]:
        """Send rows after ``start`` up to ``stop``; up to which ROWID they were tried, and all went well."""
        reached = start
        well: int | None = None
        while stop is None or reached < stop:
            rows = broker.items_since(reached, BATCH)
            if not rows:
                reached = stop if stop is not None else reached
                break
            for row in rows:
                if stop is not None and row['ROWID'] > stop:
                    return stop, stop if well is None else well
                if time.monotonic() > end:
                    return reached, reached if well is None else well
                turn = int(hashlib.md5(f'/{info["account"]}/{info["container"]}/{row["name"]}'.encode(
                    'utf-8', 'surrogateescape'), usedforsecurity=False).hexdigest(), 16)
                if is_mine(turn) and not self._send(info, row, target) and well is None:
                    well = reached
                reached = row['ROWID']
        return reached, reached if well is None else well

    def _send(self, info: Item, row: Item, target: Target) -> bool:
        """Put or delete one object there; whether that needs no other try."""
        stamps = decode(row['created_at'])
        try:
            if row['deleted']:
                return self._delete(row, target, stamps[0])
            return self._put(info, row, target, stamps[2] or stamps[0])
        except (errors.Error, OSError) as error:
            self.counts['failures'] += 1
            LOG.warning('%s/%s/%s was not sent to %s: %s', info['account'], info['container'], row['name'], target.url,
                        error)
            return False

    def _delete(self, row: Item, target: Target, stamp: Timestamp) -> bool:
        url, headers = target.request('DELETE', row['name'], stamp)
        status = self.remote.request('DELETE', url, headers=headers).status_code
        if status // 100 != 2 and status not in (404, 409):
            raise errors.BadGateway(f'DELETE: {status}')
        self.counts['deletes'] += 1
        return True

    def _put(self, info: Item, row: Item, target: Target, stamp: Timestamp) -> bool:
        has = self._has(row, target, stamp)
        if has is not None and has == row['etag']:
            self.counts['known'] += 1
            return True
        params = {'symlink': 'get'}     # the link, not what it leads to
        headers = {'X-Newest': 'true', 'X-Backend-Storage-Policy-Index': row['storage_policy_index']}
        try:
            source = self.client.get_object(info['account'], info['container'], row['name'], headers, (2, 404), params)
        except Unexpected as error:
            raise errors.BadGateway(str(error)) from error
        try:
            return self._send_object(source, row, target, stamp, has)
        finally:
            source.close()

    def _has(self, row: Item, target: Target, stamp: Timestamp) -> str | None:
        """The MD5 of what the other side has under this name, if that is not older; ``None`` if it does not say.

        A manifest shows there what it stands for, so it is sent.
        """
        if not target.realm:
            return None
        url, headers = target.request('HEAD', row['name'], stamp)
        answer = self.remote.request('HEAD', f'{url}?symlink=get', headers=headers)
        said = answer.headers
        if answer.status_code != 200 or 'X-Static-Large-Object' in said or 'X-Object-Manifest' in said:
            return None
        try:
            newer = Timestamp(said.get('X-Timestamp', '0')) >= stamp
        except ValueError:
            return None
        return said.get('Etag', '').strip('"') or None if newer else None

    def _send_object(self, source: Response, row: Item, target: Target, stamp: Timestamp, has: str | None) -> bool:
        """``has``: as ``_has`` says; the etag of a listing may not be that of the body."""
        found = Timestamp(source.headers.get('X-Backend-Timestamp') or source.headers.get('X-Timestamp') or 0)
        if source.status == 404 or found < stamp:
            # deleted since (that is a row of its own), or its servers are away
            if found >= stamp:
                return True
            raise errors.BadGateway('the object is not to be had')
        if has is not None and has == source.etag:
            self.counts['known'] += 1
            return True
        url, headers = target.request('PUT', row['name'], found)
        headers.update({name: value for name, value in source.headers.items()
                        if name not in OWN and not name.startswith('X-Backend-')})
        headers['Content-Type'] = headers.get('Content-Type', '').partition(';swift_bytes=')[0]
        headers.update({'Etag': source.etag or '', 'Content-Length': source.headers['Content-Length']})
        reply = self.remote.request('PUT', url, headers=headers, data=_Body(source))
        if reply.status_code // 100 != 2 and reply.status_code not in (409, 412):
            raise errors.BadGateway(f'PUT: {reply.status_code}')
        self.counts['puts'] += 1
        return True


class _Body:
    """The body of an answer, with its length, to be sent on."""

    def __init__(self, source: Response) -> None:
        self._source = source
        self._length = source.content_length or 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Any:
        return iter(self._source.app_iter)
