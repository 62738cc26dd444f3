"""The account server: accounts, their metadata, and the containers in them."""

from typing import Any

import orjson

from swift import conf as confs
from swift import statsd
from swift.account.backend import AccountBroker
from swift.db import pages
from swift.db.errors import DatabaseExists
from swift.db.server import HTML, PLAIN, DatabaseServer
from swift.http import HttpError, Request, Response, listings
from swift.timestamp import Timestamp


class AccountServer(DatabaseServer):
    """``[app:account-server] use = egg:swift#account``."""

    KIND = 'account'
    BROKER = AccountBroker

    def put(self, request: Request) -> Response:
        """Make an account, or take in what a container says of itself."""
        drive, part, account, container = self.pieces(request, 3, 4)
        self.check_space(drive)
        broker = self.broker(drive, part, account)
        return self._put_container(request, broker, account, container) if container else \
            self._put_account(request, broker)

    def _put_account(self, request: Request, broker: AccountBroker) -> Response:
        timestamp = request.timestamp
        metadata = self.metadata_of(request, timestamp)
        created = _initialize(broker, timestamp)
        if not created:
            info = broker.info()
            if info['status'] == 'DELETED':
                raise HttpError(403, 'Recently deleted', {**HTML, **_status(info)})
            created = broker.deleted(info)
            broker.set_put_timestamp(timestamp)
            if created:
                if broker.is_deleted():
                    raise HttpError(409)
                broker.set_status_changed_at(timestamp)
        self.save_metadata(broker, metadata)
        return Response(201 if created else 202, b'', HTML)

    def _put_container(self, request: Request, broker: AccountBroker, account: str, container: str) -> Response:
        headers = request.headers
        try:
            put = Timestamp(headers['X-Put-Timestamp'])
            delete = Timestamp(headers['X-Delete-Timestamp'])
            count, size = int(headers['X-Object-Count']), int(headers['X-Bytes-Used'])
        except (KeyError, ValueError) as error:
            raise HttpError(400, 'Invalid or missing X-Put-Timestamp, X-Delete-Timestamp, X-Object-Count or '
                                 'X-Bytes-Used', PLAIN) from error
        policy = _policy(headers.get('X-Backend-Storage-Policy-Index'))
        if account.startswith(self.constraints.auto_create_account_prefix) and not broker.exists:
            _initialize(broker, Timestamp(headers.get('X-Timestamp') or put))
        override = confs.true(headers.get('X-Account-Override-Deleted'))
        if not broker.exists or (not override and broker.is_deleted()):
            raise HttpError(404)
        broker.put_container(container, put, delete, count, size, policy)
        return Response(204 if delete > put else 201, b'', HTML)

    def post(self, request: Request) -> Response:
        """Set metadata."""
        drive, part, account = self.pieces(request, 3)
        timestamp = request.timestamp
        metadata = self.metadata_of(request, timestamp)
        self.check_space(drive)
        broker = self.broker(drive, part, account)
        self._existing(broker)
        self.save_metadata(broker, metadata)
        return Response(204, b'', HTML)

    def delete(self, request: Request) -> Response:
        """Mark as deleted; what it holds is the reaper's."""
        drive, part, account = self.pieces(request, 3)
        timestamp = request.timestamp
        broker = self.broker(drive, part, account)
        self._existing(broker)
        broker.delete(timestamp)
        return Response(204, b'', {**HTML, **_status(broker.info())})

    def head(self, request: Request) -> Response:
        """Counts and metadata."""
        drive, part, account = self.pieces(request, 3)
        kind = listings.chosen_type(request)
        broker = self.broker(drive, part, account)
        headers = self._headers(broker, self._existing(broker))
        return Response(204, b'', {'Content-Type': f'{kind}; charset=utf-8', **headers})

    def get(self, request: Request) -> Response:
        """The containers."""
        drive, part, account = self.pieces(request, 3)
        kind = listings.chosen_type(request)
        page = pages.page(request, self.constraints.account_listing_limit, paths=False)
        broker = self.broker(drive, part, account)
        headers = self._headers(broker, self._existing(broker))
        entries = [self._entry(row) for row in broker.list_containers(page)]
        body = _render(account, kind, entries)
        return Response(200 if body else 204, body, {'Content-Type': f'{kind}; charset=utf-8', **headers})

    def _existing(self, broker: AccountBroker) -> dict[str, Any]:
        """The row about an account that is there; raises ``HttpError`` 404."""
        if not broker.exists:
            raise HttpError(404, b'', HTML)
        info = broker.info()
        if broker.deleted(info):
            raise HttpError(404, b'', {**HTML, **_status(info)})
        return info

    def _headers(self, broker: AccountBroker, info: dict[str, Any]) -> dict[str, Any]:
        headers: dict[str, Any] = {
            'X-Account-Container-Count': info['container_count'], 'X-Account-Object-Count': info['object_count'],
            'X-Account-Bytes-Used': info['bytes_used'], 'X-Timestamp': Timestamp(info['created_at']).normal,
            'X-Put-Timestamp': Timestamp(info['put_timestamp']).normal}
        for index, containers, objects, size in broker.policy_stats():
            policy = self.policies.get(index)
            if policy is not None:
                prefix = f'X-Account-Storage-Policy-{policy.name}'
                headers.update({f'{prefix}-Container-Count': containers, f'{prefix}-Object-Count': objects,
                                f'{prefix}-Bytes-Used': size})
        headers.update(self.metadata_headers(broker.parsed_metadata(info)))
        return headers

    def _entry(self, row: tuple[Any, ...]) -> listings.Entry:
        if len(row) == 1:
            return {'subdir': row[0]}
        name, count, size, put, index = row
        entry: listings.Entry = {'name': name, 'count': count, 'bytes': size, 'last_modified': pages.iso(put)}
        policy = self.policies.get(index)
        if policy is not None:
            entry['storage_policy'] = policy.name
        return entry


def _render(account: str, kind: str, entries: list[listings.Entry]) -> bytes:
    if kind.endswith('json'):
        return orjson.dumps(entries)
    return listings.account_xml(account, entries) if kind.endswith('xml') else listings.text(entries)


def _initialize(broker: AccountBroker, timestamp: Timestamp) -> bool:
    """Make the database; whether it was not there before."""
    if broker.exists:
        return False
    try:
        broker.initialize(timestamp)
    except DatabaseExists:
        return False
    return True


def _status(info: dict[str, Any]) -> dict[str, str]:
    return {'X-Account-Status': 'Deleted'} if info['status'] == 'DELETED' else {}


def _policy(value: str | None) -> int:
    try:
        return max(0, int(value or 0))
    except ValueError:
        raise HttpError(400, f'Invalid X-Backend-Storage-Policy-Index {value!r}', PLAIN) from None


def app_factory(global_conf: dict[str, Any], **local_conf: Any) -> Any:
    """For paste.deploy."""
    given = {**global_conf, **local_conf}
    return statsd.timed(AccountServer(given), given, 'account-server')

