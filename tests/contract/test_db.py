"""The promises of strata.db, on every database."""

import datetime
import os

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from strata import clock, db, errors, green
from strata.testing import wait


class Base(DeclarativeBase):
    metadata = db.metadata()


class Thing(Base):
    __tablename__ = 'things'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    name: Mapped[str | None] = mapped_column(sa.String(40), unique=True)
    number: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime.datetime | None] = mapped_column(db.Time)
    more: Mapped[dict | None] = mapped_column(db.Json)


class Part(Base):
    __tablename__ = 'parts'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    thing_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('things.id'))


@pytest.fixture
def database(open_database):
    database = open_database()
    database.create_all(Base.metadata)
    return database


def add(database, **values):
    with database.transaction() as tx:
        tx.add(Thing(**values))


def number_of(database, id):
    with database.reading() as tx:
        return tx.get_one(Thing, id).number


def test_a_time_keeps_its_microseconds_and_its_zone(database):
    east = datetime.timezone(datetime.timedelta(hours=2))
    moment = datetime.datetime(2026, 11, 22, 20, 0, 0, 123456, tzinfo=east)
    add(database, id='a', at=moment)
    with database.reading() as tx:
        read = tx.get_one(Thing, 'a').at
    assert read == moment
    assert read.utcoffset() == datetime.timedelta(0)


def test_a_time_without_a_zone_is_refused(database):
    with pytest.raises(sa.exc.StatementError, match='without a zone'):
        add(database, id='a', at=datetime.datetime(2026, 1, 1))


def test_json_and_every_unicode_character_survive(database):
    add(database, id='a', name='naïve 🐧', more={'k': ['ü', 1, None, {'x': True}]})
    with database.reading() as tx:
        thing = tx.get_one(Thing, 'a')
        assert (thing.name, thing.more) == ('naïve 🐧', {'k': ['ü', 1, None, {'x': True}]})


@pytest.mark.parametrize('values', [{'name': 'x' * 41}, {'name': 'a\0b'}, {'number': 1 << 40}],
                         ids=['too long', 'NUL', 'too large'])
def test_a_value_is_kept_whole_or_refused_as_the_callers_fault(database, values):
    try:
        add(database, id='a', **values)
    except errors.Invalid:
        with database.reading() as tx:
            assert tx.get(Thing, 'a') is None
        return
    with database.reading() as tx:
        thing = tx.get_one(Thing, 'a')
        assert {name: getattr(thing, name) for name in values} == values


def test_names_that_differ_only_in_case_or_accent_are_different(database):
    add(database, id='a', name='cafe')
    add(database, id='b', name='Cafe')
    add(database, id='c', name='café')
    with database.reading() as tx:
        assert tx.scalar(sa.select(Thing.id).where(Thing.name == 'Cafe')) == 'b'


def test_an_exception_rolls_everything_back(database):
    with pytest.raises(KeyError), database.transaction() as tx:
        tx.add(Thing(id='a'))
        tx.flush()
        raise KeyError
    with database.reading() as tx:
        assert tx.get(Thing, 'a') is None


def test_a_broken_unique_constraint_is_a_duplicate(database):
    add(database, id='a', name='x')
    with pytest.raises(db.Duplicate):
        add(database, id='b', name='x')


def test_a_broken_reference_is_dangling(database):
    with pytest.raises(db.Dangling), database.transaction() as tx:
        tx.add(Part(id='p', thing_id='nowhere'))


def test_swap_refuses_a_row_that_has_moved_on(database):
    add(database, id='a', number=1)
    with database.transaction() as tx:
        mine = tx.get_one(Thing, 'a')
        db.swap(tx, mine, expect={'number': 1, 'name': None}, number=2)
        assert mine.number == 2
        with pytest.raises(errors.Busy):
            db.swap(tx, mine, expect={'number': 1}, number=3)
        db.swap(tx, mine, expect={'number': {2, 5}, 'name': (None, 'y')}, number=4)
    assert number_of(database, 'a') == 4


def test_a_change_is_of_the_rows_that_are_as_expected(database):
    for id, number, name in (('a', 1, None), ('b', 1, 'x'), ('c', 2, 'y')):
        add(database, id=id, number=number, name=name)
    with database.transaction() as tx:
        assert db.change(tx, Thing, {'number': 1}, {'number': 5}) == 2
        assert db.change(tx, Thing, {'number': 5, 'name': None}, {'number': 6}) == 1
        assert db.change(tx, Thing, {'name': ['x', 'y']}, {'number': 7}) == 2
        assert db.change(tx, Thing, {'name': ()}, {'number': 8}) == 0
    assert [number_of(database, id) for id in 'abc'] == [6, 7, 7]


def test_an_insert_that_is_refused_leaves_the_transaction_as_it_was(database):
    add(database, id='a', name='x')
    with database.transaction() as tx:
        assert db.insert(tx, Thing, id='b', name='y')
        assert not db.insert(tx, Thing, id='c', name='x')
        assert db.insert(tx, Thing, id='d', name='z')
    with database.reading() as tx:
        assert set(tx.scalars(sa.select(Thing.id))) == {'a', 'b', 'd'}
    with pytest.raises(db.Dangling), database.transaction() as tx:
        db.insert(tx, Part, id='p', thing_id='nowhere')


def test_of_many_swaps_of_one_state_one_wins(database, open_database):
    add(database, id='a', number=0)
    others, won = [open_database() for _ in range(3)], []

    def attempt(mine, to):
        try:
            def write():
                with mine.transaction() as tx:
                    db.swap(tx, tx.get_one(Thing, 'a'), expect={'number': 0}, number=to)
            mine.retried(write)
            won.append(to)
        except errors.Busy:
            pass
    runs = [green.spawn(attempt, others[n % 3], n) for n in range(1, 13)]
    for run in runs:
        run.wait()
    assert len(won) == 1
    assert number_of(database, 'a') == won[0]


def test_counting_up_in_many_greenlets_loses_nothing(database):
    add(database, id='a')

    def count():
        def write():
            with database.transaction() as tx:
                tx.execute(sa.update(Thing).where(Thing.id == 'a').values(number=Thing.number + 1))
        database.retried(write)
    for run in [green.spawn(count) for _ in range(40)]:
        run.wait()
    assert number_of(database, 'a') == 40


def test_two_transactions_that_lock_crosswise_both_come_through(database):
    if database.dialect == 'sqlite':
        pytest.skip('SQLite takes one write transaction at a time')
    add(database, id='a')
    add(database, id='b')
    first_done = {'a': green.Event(), 'b': green.Event()}

    def cross(one, other):
        def write():
            with database.transaction() as tx:
                tx.execute(sa.update(Thing).where(Thing.id == one).values(number=Thing.number + 1))
                first_done[one].set()
                first_done[other].wait()
                tx.execute(sa.update(Thing).where(Thing.id == other).values(number=Thing.number + 1))
        database.retried(write)
    for run in [green.spawn(cross, 'a', 'b'), green.spawn(cross, 'b', 'a')]:
        run.wait()
    assert (number_of(database, 'a'), number_of(database, 'b')) == (2, 2)


def test_insert_absent_inserts_once(database):
    for _ in range(2):
        with database.transaction() as tx:
            db.insert_absent(tx, Thing, id='a', name='n', number=7)
    assert number_of(database, 'a') == 7


def test_the_databases_clock_moves_and_is_near_ours(database):
    with database.reading() as tx:
        first = database.now(tx)
        second = database.now(tx)
    assert first <= second
    assert abs((second - clock.CLOCK.now()).total_seconds()) < 5


def test_what_is_acknowledged_is_seen_by_others_at_once(database, open_database):
    other = open_database()
    add(database, id='a', number=5)
    assert number_of(other, 'a') == 5


@pytest.mark.parametrize('ways', [('asc', 'asc'), ('asc', 'desc'), ('desc', 'asc'), ('desc', 'desc')])
def test_pages_by_keyset_show_every_row_once_in_order(database, ways):
    names = [None, 'x1', 'x2', None, 'x3', 'x4', None, 'x5']
    with database.transaction() as tx:
        tx.add_all(Thing(id=f'i{position}', name=name) for position, name in enumerate(names))
    sorts = list(zip((Thing.name, Thing.id), ways, strict=True))
    seen, after = [], None
    with database.reading() as tx:
        while page := tx.scalars(db.keyset(sa.select(Thing), sorts, after=after, limit=3)).all():
            seen += [(thing.name, thing.id) for thing in page]
            after = page[-1]
        whole = [(thing.name, thing.id) for thing in tx.scalars(db.keyset(sa.select(Thing), sorts))]
    assert seen == whole
    assert len(set(seen)) == len(names)
    nulls_first = [name is None for name, _ in seen] == [True] * 3 + [False] * 5
    assert nulls_first == (ways[0] == 'asc')


#: of a lock that queries wait for: how to take it for 30 s at most, and how many wait
LOCKS = {
    'postgresql': ("SELECT set_config('lock_timeout', '30s', true), pg_advisory_lock(5820)",
                   "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5820 AND NOT granted"),
    'mysql': ("SELECT GET_LOCK('slow', 30)",
              "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT GET_LOCK(%' "
              "AND state = 'User lock'")}
UNLOCKS = {'postgresql': 'SELECT pg_advisory_unlock(5820)', 'mysql': "SELECT RELEASE_LOCK('slow')"}


def test_four_slow_queries_are_waited_for_beside_each_other(database, open_database):
    if database.dialect not in LOCKS:
        pytest.skip('SQLite has no slow query to wait for')
    take, waiting = (sa.text(query) for query in LOCKS[database.dialect])
    give = sa.text(UNLOCKS[database.dialect])

    def query():
        with database.reading() as tx:
            tx.execute(take)
            tx.execute(give)

    def all_wait():
        with watcher.reading() as tx:
            return tx.scalar(waiting) == 4
    watcher = open_database()
    with open_database().reading() as tx:
        tx.execute(take)
        runs = [green.spawn(query) for _ in range(4)]
        wait.until(all_wait, 20, 'all four wait at the same time')
        tx.execute(give)
    for run in runs:
        run.wait(20)


def test_a_database_that_is_not_there_is_unavailable():
    absent = db.Database('postgresql+psycopg://x:y@127.0.0.1:1/none')
    with pytest.raises(errors.Unavailable), absent.reading() as tx:
        tx.execute(sa.text('SELECT 1'))


def test_switching_inside_a_transaction_of_sqlite_raises(tmp_path):
    database = db.Database(f'sqlite:///{tmp_path}/s.sqlite')
    with pytest.raises(green.SwitchInTransaction), database.transaction():
        green.sleep(0)


def test_a_child_uses_connections_of_its_own(database):
    add(database, id='a', number=1)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            green.after_fork()
            database.after_fork()
            status = 0 if number_of(database, 'a') == 1 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert number_of(database, 'a') == 1
