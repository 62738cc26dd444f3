"""Keystone's schema and its transactions, on every database."""

import pytest

from keystone import conf as options
from keystone.assignment import grants
from keystone.bootstrap import Wishes, bootstrap
from keystone.cmd.keystone import wire
from keystone.db import assignments, projects, revisions, roles, tables, users
from keystone.db.assignments import Assignment
from keystone.identity import groups as group_functions
from keystone.identity import users as user_functions
from keystone.resource import domains as domain_functions
from keystone.resource import projects as project_functions
from keystone.token import subject, tokens
from strata import errors, green, migrate
from strata.testing.clock import FrozenClock


@pytest.fixture
def wired(database_url, tmp_path):
    conf = options.load('keystone', [], files=[], database__connection=database_url,
                        fernet_tokens__key_repository=f'{tmp_path}/keys',
                        credential__key_repository=f'{tmp_path}/credential-keys')
    wired = wire(conf, FrozenClock())
    tables.upgrade(wired.db)
    wired.keys.setup()
    yield wired
    wired.close()


def test_the_migrations_make_what_the_models_say(wired):
    assert migrate.differences(wired.db, tables.METADATA) == []


def test_migrating_again_changes_nothing(wired):
    tables.upgrade(wired.db)
    assert migrate.current(wired.db) == '0002'


def test_bootstrapping_twice_leaves_one_of_everything(wired):
    for _ in range(2):
        bootstrap(wired, Wishes('word', urls={'public': 'http://x/v3'}))
    with wired.db.reading() as tx:
        assert len(roles.all_of(tx)) == 5
        assert len(tx.scalars(users.query()).all()) == 1
        assert len(tx.scalars(assignments.query()).all()) == 2


def test_names_clash_within_a_domain_also_for_domains(wired):
    bootstrap(wired, Wishes('word'))
    with pytest.raises(errors.Conflict, match='Duplicate entry found with name Default'):
        domain_functions.create(wired, name='Default', extra={})
    project_functions.create(wired, name='p', domain_id='default', extra={})
    with pytest.raises(errors.Conflict, match='Duplicate entry found with name p'):
        project_functions.create(wired, name='p', domain_id='default', extra={})
    project_functions.create(wired, name='P', domain_id='default', extra={})      # another name


def test_concurrent_creations_of_one_name_make_one(wired):
    bootstrap(wired, Wishes('word'))
    outcomes = []

    def create(number):
        try:
            group_functions.create(wired, name='same', domain_id='default', extra={})
            outcomes.append('made')
        except errors.Conflict:
            outcomes.append('conflict')

    green.Pool(10).map(create, range(10))
    assert sorted(outcomes) == ['conflict'] * 9 + ['made']


def test_every_change_raises_the_counter_also_when_many_happen_at_once(wired):
    bootstrap(wired, Wishes('word'))
    with wired.db.reading() as tx:
        before = revisions.read(tx)

    def create(number):
        group_functions.create(wired, name=f'g{number}', domain_id='default', extra={})

    green.Pool(8).map(create, range(24))
    with wired.db.reading() as tx:
        after = revisions.read(tx)
    assert after['state'] - before['state'] == 24
    assert after['catalog'] == before['catalog']


def test_revocations_at_once_are_all_heard_by_another_process(wired, database_url):
    bootstrap(wired, Wishes('word'))
    other = wire(wired.conf, wired.clock)
    wired.memory.look()
    with wired.db.reading() as tx:
        admin = users.named(tx, 'admin', 'default')
    made = [tokens.issue(wired, user_id=admin.id, methods=('password',)) for _ in range(20)]
    other.memory.look()
    assert all(tokens.validate(other, token.id) for token in made)
    green.Pool(8).map(lambda token: tokens.revoke(wired, token), made[::2])
    other.memory.look()
    for position, token in enumerate(made):
        if position % 2:
            assert tokens.validate(other, token.id).payload == token.payload
        else:
            with pytest.raises(errors.NotFound):
                tokens.validate(other, token.id)
    other.close()


def test_a_domain_with_a_deep_tree_and_everything_in_it_goes_in_one_piece(wired):
    bootstrap(wired, Wishes('word'))
    domain = domain_functions.create(wired, name='dom', extra={}, enabled=True)
    parent = None
    for number in range(4):
        parent = project_functions.create(wired, name=f'p{number}', domain_id=domain.id, extra={}, tags=['t'],
                                          parent_id=parent and parent.id)
    user = user_functions.create(wired, name='u', domain_id=domain.id, extra={})
    group = group_functions.create(wired, name='g', domain_id=domain.id, extra={})
    group_functions.add_user(wired, group.id, user.id)
    with wired.db.reading() as tx:
        reader = roles.named(tx, 'reader')
    grants.give(wired, Assignment(actor='group', actor_id=group.id, target='domain', target_id=domain.id,
                                  role_id=reader.id, inherited=True))
    wired.memory.look()
    worth = subject.find(wired, user.id, 'project', parent.id)
    assert [name for _, name in worth.roles] == ['reader']
    domain_functions.update(wired, domain.id, extra={}, enabled=False)
    domain_functions.delete(wired, domain.id)
    with wired.db.reading() as tx:
        assert projects.in_domain(tx, domain.id) == []
        assert users.get(tx, user.id) is None
        assert len(tx.scalars(assignments.query()).all()) == 2
