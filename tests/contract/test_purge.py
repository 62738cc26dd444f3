"""The rows of deleted servers are found and removed on every database."""

import datetime

from nova.db import purge, tables
from nova.db.operations import Operation, OperationStep
from nova.db.passwords import ServerPassword
from nova.db.servers import Server, ServerTag
from strata import clock
from strata.journal import SUCCESS
from strata.testing.databases import make_tables

NOW = clock.CLOCK.now()


def server(tx, number, *, deleted=True, ended=NOW, finished=True):
    """A server with a tag, a password and its deletion."""
    id = f'server-{number}'
    tx.add(Server(id=id, project_id='p', user_id='u', name='n', flavor_id='1', flavor={}, deleted=deleted,
                  host='lost', terminated_at=ended if deleted else None))
    tx.flush()
    entry = Operation(id=f'operation-{number}', resource_id=id, verb='delete', topic='compute', request_id='r',
                      context={}, finished_at=NOW if finished else None)
    tx.add_all([ServerTag(server_id=id, tag='t'), ServerPassword(server_id=id, password='p'), entry,
                OperationStep(entry_id=entry.id, name='destroying', outcome=SUCCESS, finished_at=NOW)])


def test_what_may_go_is_found_a_page_at_a_time_and_removed(open_database):
    database = open_database()
    make_tables(database, tables.METADATA)
    with database.transaction() as tx:
        for number in range(5):
            server(tx, number)
        server(tx, 5, finished=False)
        server(tx, 6, ended=NOW - datetime.timedelta(days=9))
        server(tx, 7, deleted=False)
        server(tx, 8)
    with database.reading() as tx:
        found, after = purge.doomed(tx, None, after=0, limit=3)
        more, end = purge.doomed(tx, None, after=after, limit=4)
        old, _ = purge.doomed(tx, NOW - datetime.timedelta(days=1), after=0, limit=9)
    assert (found, more, end) == (['server-0', 'server-1', 'server-2'], ['server-3', 'server-4', 'server-6'], None)
    assert old == ['server-6']
    with database.transaction() as tx:
        gone = purge.erase(tx, [*found, *more])
    assert gone == {'servers': 6, 'server_tags': 6, 'server_passwords': 6, 'operations': 6, 'operation_steps': 6}
    with database.reading() as tx:
        assert {row.id for row in tx.query(Server)} == {'server-5', 'server-7', 'server-8'}
        assert tx.query(OperationStep).count() == 3
