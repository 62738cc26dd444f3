"""The container server: containers, their metadata, and the objects in them."""

import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any

import orjson

from strata import errors
from swift import conf as confs
from swift import statsd
from swift.conf import Option
from swift.container.backend import ContainerBroker
from swift.db import pages
from swift.db.errors import DatabaseExists, DatabaseMissing
from swift.db.server import HTML, PLAIN, DatabaseServer
from swift.http import HttpError, Request, Response, listings
from swift.http.path import quote
from swift.realms import Realms
from swift.storage import commit
from swift.timestamp import Timestamp

LOG = logging.getLogger(__name__)

SYNC_TO, SYNC_KEY = 'X-Container-Sync-To', 'X-Container-Sync-Key'


class ContainerServer(DatabaseServer):
    """``[app:container-server] use = egg:swift#container``."""

    KIND = 'container'
    KEPT = ('X-Container-Read', 'X-Container-Write', SYNC_KEY, SYNC_TO)
    BROKER = ContainerBroker
    OPTIONS = {
        'allowed_sync_hosts': Option(confs.commas, ['127.0.0.1'], 'hosts that containers may be synchronised to'),
    }

    def __init__(self, conf: Any) -> None:
        super().__init__(conf)
        self.realms = Realms.load(self.conf.swift_dir)

    # -- containers

    def put(self, request: Request) -> Response:
        """Make a container, or take in that an object was written."""
        drive, part, account, container, name = self.pieces(request, 4, 5, rest=True)
        timestamp = request.timestamp
        broker = self.broker(drive, part, account, container)
        self.devices.check_space(f'{self.devices.root}/{drive}')      # it is mounted: the broker has looked
        if name:
            place = self._place(request, drive)
            self._put_object(request, broker, name, timestamp)
            return Response(201, b'', {**HTML, **place})
        metadata = self._checked_metadata(request, timestamp)
        wanted = self._policy_index(request)
        created = self._make(request, broker, timestamp, wanted)
        policy = {'X-Backend-Storage-Policy-Index': str(broker.policy_index())}
        try:
            self._save(broker, metadata)
        except HttpError:
            if created:     # it was asked for with what cannot be kept; an empty one was not asked for
                broker.delete(Timestamp(timestamp, offset=1))
            raise
        refused = self._tell_account(request, account, container, broker)
        return refused or Response(201 if created else 202, b'', {**HTML, **policy})

    def _make(self, request: Request, broker: ContainerBroker, timestamp: Timestamp, wanted: int | None) -> bool:
        """Make it, make it again, or touch it; whether it was not there.  Raises ``HttpError`` 409."""
        if not broker.exists:
            index = wanted if wanted is not None else self._default_policy(request)
            try:
                broker.initialize(timestamp, storage_policy_index=index)
                return True
            except DatabaseExists:
                pass
        info = broker.info()
        current, deleted = info['storage_policy_index'], broker.deleted(info)
        if deleted:
            wanted = wanted if wanted is not None else self._default_policy(request)
            if timestamp <= Timestamp(info['delete_timestamp']):
                raise HttpError(409, headers={'X-Backend-Storage-Policy-Index': str(current)})
            broker.set_policy_index(wanted, timestamp)
            broker.set_put_timestamp(timestamp)
            broker.set_status_changed_at(timestamp)
            return True
        if wanted is not None and wanted != current:
            raise HttpError(409, headers={'X-Backend-Storage-Policy-Index': str(current)})
        broker.set_put_timestamp(timestamp)
        return False

    def post(self, request: Request) -> Response:
        """Set metadata."""
        drive, part, account, container = self.pieces(request, 4)
        timestamp = request.timestamp
        metadata = self._checked_metadata(request, timestamp)
        self.check_space(drive)
        broker = self.broker(drive, part, account, container)
        if broker.is_deleted():
            raise HttpError(404)
        broker.set_put_timestamp(timestamp)
        self._save(broker, metadata)
        return Response(204, b'', HTML)

    def delete(self, request: Request) -> Response:
        """Delete an empty container, or take in that an object was deleted."""
        drive, part, account, container, name = self.pieces(request, 4, 5, rest=True)
        timestamp = request.timestamp
        broker = self.broker(drive, part, account, container)
        if name:
            place = self._place(request, drive)
            index = self._policy_index(request) or 0
            self._take_in(broker, timestamp, index, lambda: broker.delete_object(name, timestamp, index))
            return Response(204, b'', {**HTML, **place})
        if not broker.exists:
            raise HttpError(404)
        before = broker.info()
        if before['object_count']:
            raise HttpError(409)
        existed = not broker.deleted(before)
        broker.delete(timestamp)
        if not broker.is_deleted():
            raise HttpError(409)
        refused = self._tell_account(request, account, container, broker)
        if refused is not None:
            return refused
        if not existed:
            raise HttpError(404)
        return Response(204, b'', HTML)

    def head(self, request: Request) -> Response:
        """Counts and metadata."""
        drive, part, account, container, _ = self.pieces(request, 4, 5, rest=True)
        kind = listings.chosen_type(request)
        headers = self._headers(self._existing(self.broker(drive, part, account, container)))
        return Response(204, b'', {'Content-Type': f'{kind}; charset=utf-8', **headers})

    def get(self, request: Request) -> Response:
        """The objects."""
        drive, part, account, container, _ = self.pieces(request, 4, 5, rest=True)
        kind = listings.chosen_type(request)
        page = pages.page(request, self.constraints.container_listing_limit)
        broker = self.broker(drive, part, account, container)
        info = self._existing(broker)
        headers = self._headers(info)
        if request.headers.get('X-Backend-Record-Type', '').lower() == 'shard':
            headers.update({'X-Backend-Record-Type': 'shard', 'X-Backend-Record-Shard-Format': 'full'})
            return Response(200, b'[]', {'Content-Type': 'application/json; charset=utf-8', **headers})
        wanted = self._policy_index(request)
        index = info['storage_policy_index'] if wanted is None else wanted
        headers.update({'X-Backend-Record-Type': 'object', 'X-Backend-Record-Storage-Policy-Index': str(index)})
        body = _render(container, kind, _entries(broker.list_objects(page, index)))
        return Response(200 if body else 204, body, {'Content-Type': f'{kind}; charset=utf-8', **headers})

    # -- objects

    def _place(self, request: Request, drive: str) -> dict[str, str]:
        """What the file system of rows is called, if an object server asks.

        Raises ``HttpError`` 412 if it has told the name of another, for then its object may not be on disk yet.
        """
        said = request.headers.get(commit.PLACE)
        if said is None:
            return {}
        place = {commit.PLACE: commit.named(os.stat(f'{self.devices.root}/{drive}').st_dev)}
        if said not in ('?', place[commit.PLACE]):
            raise HttpError(412, headers=place)
        return place

    def _put_object(self, request: Request, broker: ContainerBroker, name: str, timestamp: Timestamp) -> None:
        headers = request.headers
        try:
            size = int(headers['X-Size'])
            kind = headers['X-Content-Type'].encode('latin-1').decode('utf-8')
            etag = headers['X-Etag'].encode('latin-1').decode('utf-8')
            times = [Timestamp(headers[each]) if each in headers else None
                     for each in ('X-Content-Type-Timestamp', 'X-Meta-Timestamp')]
        except (KeyError, ValueError) as error:
            raise HttpError(400, 'Invalid or missing X-Size, X-Content-Type, X-Etag or a timestamp', PLAIN) from error
        index = self._policy_index(request) or 0
        self._take_in(broker, timestamp, index, lambda: broker.put_object(
            name, timestamp, size, kind, etag, storage_policy_index=index, content_type_timestamp=times[0],
            meta_timestamp=times[1]))

    def _take_in(self, broker: ContainerBroker, timestamp: Timestamp, index: int, change: Callable[[], None]) -> None:
        """Change it; a container of the cluster's own accounts is made when it is first used.

        Raises ``HttpError`` 404.
        """
        try:
            change()
            return
        except DatabaseMissing:
            if not str(broker.account).startswith(self.constraints.auto_create_account_prefix):
                raise HttpError(404) from None
        with contextlib.suppress(DatabaseExists):
            broker.initialize(timestamp, storage_policy_index=index)
        change()

    # -- what requests carry

    def _policy_index(self, request: Request) -> int | None:
        """X-Backend-Storage-Policy-Index; raises ``HttpError`` 400 for one that is not configured."""
        value = request.headers.get('X-Backend-Storage-Policy-Index')
        if value is None or not value.strip():
            return None
        try:
            return self.policies[value].index
        except KeyError:
            raise HttpError(400, f'Invalid X-Backend-Storage-Policy-Index {value}', PLAIN) from None

    def _default_policy(self, request: Request) -> int:
        value = request.headers.get('X-Backend-Storage-Policy-Default')
        policy = self.policies.get(value) if value is not None else None
        return (policy or self.policies.default).index

    def _checked_metadata(self, request: Request, timestamp: Timestamp) -> dict[str, tuple[str, str]]:
        target = request.headers.get(SYNC_TO)
        if target:
            fault = self.realms.fault(target, self.conf.allowed_sync_hosts)
            if fault:
                raise HttpError(400, fault, PLAIN)
        return self.metadata_of(request, timestamp)

    def _save(self, broker: ContainerBroker, metadata: dict[str, tuple[str, str]]) -> None:
        """Keep metadata; another sync target is begun from the start.  Raises ``HttpError`` 400."""
        if not metadata:
            return
        before = broker.metadata().get(SYNC_TO, ['', ''])[0] if SYNC_TO in metadata else None
        self.save_metadata(broker, metadata)
        if before is not None and before != metadata[SYNC_TO][0]:
            broker.set_sync_points(-1, -1)

    def _existing(self, broker: ContainerBroker) -> dict[str, Any]:
        """The row about a container that is there; raises ``HttpError`` 404 with its times."""
        try:
            info = broker.info()
        except DatabaseMissing:
            info = {'created_at': 0, 'put_timestamp': 0, 'delete_timestamp': 0, 'status_changed_at': 0,
                    'storage_policy_index': 0}
            raise HttpError(404, headers={**HTML, **_times(info)}) from None
        if broker.deleted(info):
            raise HttpError(404, headers={**HTML, **_times(info)})
        return info

    def _headers(self, info: dict[str, Any]) -> dict[str, Any]:
        headers: dict[str, Any] = _times(info)
        put = Timestamp(info['put_timestamp'])
        headers.update({
            'X-Container-Object-Count': info['object_count'], 'X-Container-Bytes-Used': info['bytes_used'],
            'X-Timestamp': Timestamp(info['created_at']).normal, 'X-Put-Timestamp': put.normal,
            'X-Backend-Sharding-State': 'unsharded', 'Last-Modified': put.last_modified})
        headers.update(self.metadata_headers(ContainerBroker.parsed_metadata(info)))
        return headers

    # -- what the account is told

    def _tell_account(self, request: Request, account: str, container: str,
                      broker: ContainerBroker) -> Response | None:
        """Tell the account's servers that the request names; 404 if most of them do not know the account.

        One that cannot be told now is told by the updater later.
        """
        hosts = _words(request.headers.get('X-Account-Host'))
        devices = _words(request.headers.get('X-Account-Device'))
        part = request.headers.get('X-Account-Partition', '')
        if not (hosts and part):
            return None
        if len(hosts) != len(devices) or not part.isdecimal():
            LOG.error('X-Account-Host, -Device and -Partition do not go together: %s %s %s', hosts, devices, part)
            raise HttpError(400)
        headers = self._update_headers(request, broker.info())
        unknown = 0
        for host, device in zip(hosts, devices):
            path = f'/{quote(device)}/{part}/{quote(account)}/{quote(container)}'
            ip, _, port = host.rpartition(':')
            try:
                answer = self.pool.request(ip.strip('[]'), int(port), 'PUT', path, headers,
                                           timeout=self.conf.node_timeout)
                answer.body()
            except (errors.Error, ValueError, OSError) as error:
                LOG.warning('account %s at %s/%s was not told (the updater will): %s', account, host, device, error)
                continue
            if answer.status == 404:
                unknown += 1
            elif answer.status >= 300:
                LOG.warning('account %s at %s/%s was not told (the updater will): it answered %d',
                            account, host, device, answer.status)
        return HttpError(404).response() if unknown > len(hosts) // 2 else None

    @staticmethod
    def _update_headers(request: Request, info: dict[str, Any]) -> dict[str, str]:
        headers = {
            'X-Put-Timestamp': info['put_timestamp'], 'X-Delete-Timestamp': info['delete_timestamp'],
            'X-Object-Count': str(info['object_count']), 'X-Bytes-Used': str(info['bytes_used']),
            'X-Trans-Id': request.headers.get('X-Trans-Id', '-'),
            'X-Backend-Storage-Policy-Index': str(info['storage_policy_index']), 'User-Agent': 'container-server',
            'Referer': f'{request.method} {request.quoted_path}'}
        if confs.true(request.headers.get('X-Account-Override-Deleted')):
            headers['X-Account-Override-Deleted'] = 'yes'
        return headers


def _words(value: str | None) -> list[str]:
    return [each.strip() for each in (value or '').split(',') if each.strip()]


def _times(info: dict[str, Any]) -> dict[str, str]:
    return {'X-Backend-Timestamp': Timestamp(info['created_at']).internal,
            'X-Backend-Put-Timestamp': Timestamp(info['put_timestamp']).internal,
            'X-Backend-Delete-Timestamp': Timestamp(info['delete_timestamp']).internal,
            'X-Backend-Status-Changed-At': Timestamp(info['status_changed_at']).internal,
            'X-Backend-Storage-Policy-Index': str(info['storage_policy_index'])}


def _entries(rows: list[tuple[Any, ...]]) -> list[listings.Entry]:
    """Rows as listings show them; a page has thousands, so little is called for each."""
    iso, found = pages.iso, []
    for row in rows:
        if len(row) == 1:
            found.append({'subdir': row[0]})
            continue
        name, times, size, kind, etag = row
        if 'swift_bytes=' in kind:
            kind, size = _without_bytes(kind, size)
        found.append({'bytes': size, 'hash': etag, 'name': name, 'content_type': kind, 'last_modified': iso(times)})
    return found


def _without_bytes(kind: str, size: int) -> tuple[str, int]:
    """A large object's type carries the size of the whole as a parameter."""
    kept = []
    for piece in kind.split(';'):
        name, _, value = piece.strip().partition('=')
        if name == 'swift_bytes' and value.isascii() and value.isdecimal():
            size = int(value)
        else:
            kept.append(piece)
    return ';'.join(kept), size


def _render(container: str, kind: str, entries: list[listings.Entry]) -> bytes:
    if kind.endswith('json'):
        return orjson.dumps(entries)
    return listings.container_xml(container, entries) if kind.endswith('xml') else listings.text(entries)


def app_factory(global_conf: dict[str, Any], **local_conf: Any) -> Any:
    """For paste.deploy."""
    given = {**global_conf, **local_conf}
    return statsd.timed(ContainerServer(given), given, 'container-server')
