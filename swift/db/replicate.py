"""The receiving side of database replication: what a replicator asks of the server beside another replica.

``REPLICATE /device/partition/hash`` with a JSON array, the first of which is the word:

    ["sync", info]             here is what I have: take over my times and metadata, tell me what you have
    ["items", rows, id]        rows of the database ``id``, in their order; they move its sync point here
    ["syncs", points]          how far I got with others (what I have of them you have now)

and, with ``?upload=ID``, the bytes of a whole database file: it becomes this
replica if there is none, else its rows are merged in.

This is our own protocol: replicas of one ring are replicated by servers of one make.
"""

import os
import re
import sqlite3
import uuid
from typing import Any

import orjson

from strata import green
from swift.db.broker import Broker, Item
from swift.db.errors import DatabaseCorrupt, DatabaseExists, DatabaseMissing
from swift.http import HttpError, Request, Response

_DIGEST = re.compile(r'[0-9a-f]{32}\Z')
#: bytes of one message, and of one piece of a file
MOST, PIECE = 64 * 1024 * 1024, 1024 * 1024
#: rows merged in one transaction
BATCH = 1000


def serve(server: Any, request: Request, drive: str, part: str, digest: str) -> Response:
    """Answer a replicator; raises ``HttpError`` 400 or 404, and what brokers raise."""
    if not _DIGEST.match(digest):
        raise HttpError(400, 'Invalid hash')
    broker = server.BROKER(server.connections, server.path(drive, part, digest))
    source = request.params.get('upload')
    if source is not None:
        server.check_space(drive)
        return _upload(broker, request, source)
    word, arguments = _message(request)
    if not broker.exists:
        raise HttpError(404)
    try:
        if word == 'sync':
            return _json(_sync(broker, *arguments))
        if word == 'items':
            rows, remote = arguments
            broker.merge_items(rows, remote)
        elif word == 'syncs':
            broker.merge_syncs(*arguments)
        else:
            raise HttpError(400, 'Unknown word')
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise HttpError(400, f'Invalid message: {error}') from error
    return Response(204)


def _message(request: Request) -> tuple[str, list[Any]]:
    try:
        found = orjson.loads(request.body(MOST))
    except ValueError as error:
        raise HttpError(400, 'Invalid message') from error
    if not (isinstance(found, list) and found and isinstance(found[0], str)):
        raise HttpError(400, 'Invalid message')
    return found[0], found[1:]


def _json(value: Any) -> Response:
    return Response(200, orjson.dumps(value), {'Content-Type': 'application/json'})


def _sync(broker: Broker, remote: Item) -> Item:
    """Take over what another replica says of itself; what we have in turn."""
    broker.absorb(remote)
    info = broker.replication_info()
    info['point'] = broker.sync_point(remote['id'])
    return info


def _upload(broker: Broker, request: Request, source: str) -> Response:
    """Receive a whole database file."""
    temporary = os.path.join(broker.device_root, 'tmp')
    os.makedirs(temporary, exist_ok=True)
    made = os.path.join(temporary, f'{uuid.uuid4().hex}.db')
    try:
        _receive(request, made)
        _check(made)
        if not broker.exists:
            try:
                fresh = type(broker)(broker.pool, made)
                fresh.renew_id(source)
                broker.pool.forget(made)
                broker.install(made)
                return Response(201)
            except DatabaseExists:
                pass
        _merge(broker, made, source)
        return Response(204)
    finally:
        broker.pool.forget(made)
        for name in (made, f'{made}-journal', f'{made}.pending'):
            if os.path.exists(name):
                os.unlink(name)


def _receive(request: Request, path: str) -> None:
    left = request.content_length
    with open(path, 'wb') as file:
        while left is None or left > 0:
            data = request.input.read(PIECE if left is None else min(left, PIECE))
            if not data:
                break
            file.write(data)
            left = None if left is None else left - len(data)
        if left:
            raise HttpError(499)
        file.flush()
        green.native(os.fsync, file.fileno())


def _check(path: str) -> None:
    """Raises ``HttpError`` 400 if the file is no sound database."""
    try:
        found = green.native(_quick_check, path)
    except sqlite3.Error as error:
        raise HttpError(400, 'The file is no database') from error
    if found != 'ok':
        raise HttpError(400, 'The database is damaged')


def _quick_check(path: str) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute('PRAGMA quick_check(1)').fetchone()[0])
    finally:
        connection.close()


def _merge(broker: Broker, made: str, source: str) -> None:
    """Bring the rows of another replica's file into ours."""
    other = type(broker)(broker.pool, made)
    try:
        broker.absorb(other.replication_info())
        point = -1
        while True:
            rows = other.items_since(point, BATCH)
            if not rows:
                break
            broker.merge_items(rows, source)
            point = rows[-1]['ROWID']
            green.sleep(0)      # a large database takes seconds, and others are being served
        broker.merge_syncs(other.syncs())
    except (DatabaseCorrupt, DatabaseMissing) as error:
        raise HttpError(400, 'The database is damaged') from error
