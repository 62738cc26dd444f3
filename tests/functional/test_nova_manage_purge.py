"""``nova-manage db purge`` and ``db archive_deleted_rows``, on what a small cloud deleted."""

import datetime

import pytest
import sqlalchemy as sa

from nova.cmd import manage
from nova.db import purge, services, tables
from nova.db.operations import Operation, OperationStep
from nova.db.servers import Server
from strata import clock
from strata.testing import wait
from tests.functional.nova_cloud import Cloud

ADMIN = {'who': 'admin', 'user': 'root', 'project': 'admin'}


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path).start()
    made.flavor()
    yield made
    made.close()


@pytest.fixture
def said(cloud, tmp_path, capsys):
    """Run nova-manage; its status and what it printed."""
    path = tmp_path / 'nova.conf'
    path.write_text(f'[database]\nconnection = sqlite:///{tmp_path}/nova.sqlite\n')

    def run(*words):
        status = manage.main(['--config-file', str(path), 'db', *words])
        return status, capsys.readouterr().out
    return run


def delete(cloud, *ids):
    for id in ids:
        assert cloud.call('DELETE', f'/servers/{id}').status == 204
    wait.until(lambda: not {server['id'] for server in cloud.get('/servers')['servers']} & set(ids), 20, 'gone')


def lives(cloud, count):
    """Servers that were, of which the newest is not deleted."""
    ids = [cloud.server(f'old{number}', wait_for='ACTIVE', tags=['t'], version='2.52', networks='none')
           for number in range(count)]
    delete(cloud, *ids)
    return ids, cloud.server('kept', wait_for='ACTIVE')


def rows(cloud, model, column, ids):
    with cloud.db.reading() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(model).where(column.in_(ids)))


def test_deleted_servers_go_with_all_that_hangs_on_them(cloud, said):
    ids, kept = lives(cloud, 3)
    with cloud.db.reading() as tx:
        operations = tx.scalars(sa.select(Operation.id).where(Operation.resource_id.in_(ids))).all()
    assert len(operations) == 6
    assert cloud.get(f'/servers/{ids[0]}/os-instance-actions', version='2.21')['instanceActions']
    status, text = said('purge', '--all', '--verbose')
    assert status == 0 and 'Deleted servers purged: 3' in text
    assert ['operations', '6'] in [line.split() for line in text.splitlines()]
    for model, column, gone in ((Server, Server.id, ids), (Operation, Operation.id, operations),
                                (OperationStep, OperationStep.entry_id, operations)):
        assert rows(cloud, model, column, gone) == 0
    assert cloud.show(kept)['status'] == 'ACTIVE'
    assert cloud.get(f'/servers/{ids[0]}/os-instance-actions', 404, version='2.21')
    assert cloud.get('/servers?deleted=true', **ADMIN)['servers'] == []
    assert said('purge', '--all')[0] == 3


def test_a_date_spares_what_was_deleted_since(cloud, said):
    lives(cloud, 2)
    assert said('purge', '--before', '2020-01-01')[0] == 3
    later = (clock.CLOCK.now() + datetime.timedelta(hours=1)).strftime('%Y-%m-%d %H:%M')
    assert said('purge', '--before', later, '--dry-run') == (0, 'Deleted servers to be purged: 2\n')
    assert said('purge', '--before', later) == (0, 'Deleted servers purged: 2\n')
    assert said('purge', '--before', later, '--dry-run')[0] == 3


@pytest.mark.parametrize('words, status', [
    (('purge',), 1), (('purge', '--before', 'long ago'), 2), (('archive_deleted_rows', '--max_rows', '0'), 2),
    (('archive_deleted_rows', '--max_rows', 'many'), 2), (('archive_deleted_rows', '--before', 'long ago'), 4),
    (('archive_deleted_rows',), 0)])
def test_what_is_said_wrong_has_the_published_status(said, words, status):
    assert said(*words)[0] == status


def test_a_database_that_is_not_there_is_an_error_of_its_own(tmp_path, capsys):
    path = tmp_path / 'nova.conf'
    path.write_text(f'[database]\nconnection = sqlite:///{tmp_path}/nowhere/nova.sqlite\n')
    assert manage.main(['--config-file', str(path), 'db', 'purge', '--all']) == 255


def test_archiving_goes_by_portions(cloud, said, monkeypatch):
    monkeypatch.setattr(purge, 'PAGE', 2)
    lives(cloud, 5)
    status, text = said('archive_deleted_rows')
    assert status == 0 and 'nothing to archive to' in text
    assert said('archive_deleted_rows', '--purge', '--max_rows', '1') == (1, 'Deleted servers purged: 1\n')
    assert said('archive_deleted_rows', '--purge', '--max_rows', '2', '--until-complete', '--all-cells') == (
        1, 'Deleted servers purged: 4\n')
    assert said('archive_deleted_rows', '--purge')[0] == 0


def test_the_newest_number_is_not_given_again(cloud, said):
    one, two = (cloud.server(name, wait_for='ACTIVE') for name in ('one', 'two'))
    delete(cloud, one, two)
    assert said('purge', '--all') == (0, 'Deleted servers purged: 1\n')
    assert rows(cloud, Server, Server.id, [two]) == 1


def test_a_guest_that_may_still_be_on_a_lost_host_keeps_its_row(cloud, said):
    [id], _ = lives(cloud, 1)
    with cloud.db.transaction() as tx:      # as if the scheduler had carried the delete out for a host that is down
        tx.execute(sa.delete(OperationStep).where(OperationStep.name == 'destroying'))
    assert said('purge', '--all')[0] == 3
    with cloud.db.transaction() as tx:
        services.every(tx, binary='nova-compute')[0].seen_at = clock.CLOCK.now() + purge.HOMECOMING * 2
    assert said('purge', '--all')[0] == 0
    assert rows(cloud, Server, Server.id, [id]) == 0


def test_an_operation_under_way_keeps_the_row(cloud, said):
    [id], _ = lives(cloud, 1)
    with cloud.db.transaction() as tx:
        tx.execute(sa.update(Operation).where(Operation.resource_id == id).values(finished_at=None, not_before=(
            clock.CLOCK.now() + datetime.timedelta(days=1))))
    assert said('purge', '--all')[0] == 3


def test_no_table_of_servers_is_forgotten():
    known = {column.class_.__tablename__ for column in purge.BELONGINGS} | {
        'claims',               # given back by the delete itself
        'network_tags'}         # of networks and their kin
    for table in tables.METADATA.tables.values():
        if {'server_id', 'resource_id'} & set(table.columns.keys()):
            assert table.name in known, table.name
