"""The promises of the journal, on every database: write-ahead, epochs, leases, unwinding."""

import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from strata import db, errors, flow, green, journal
from strata.context import Context
from strata.performer import Performer
from strata.testing import wait


class Base(DeclarativeBase):
    metadata = db.metadata()


class Entry(journal.EntryColumns, Base):
    __tablename__ = 'entries'


class Step(journal.StepColumns, Base):
    __tablename__ = 'steps'


class Lamp(Base):
    __tablename__ = 'lamps'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(16), default='off')


CALLER = Context(user_id='u', project_id='p', roles=('member',), token='secret')


@pytest.fixture
def database(open_database):
    database = open_database()
    database.create_all(Base.metadata)
    with database.transaction() as tx:
        tx.add(Lamp(id='lamp'))
    return database


@pytest.fixture
def worker(database):
    """Journals of several workers over one database."""
    def make(name='one', lease=60.0):
        return journal.Journal(database, Entry, Step, name, lease=lease)
    return make


def begin(database, verb='light', **values):
    with database.transaction() as tx:
        return journal.open(tx, Entry, CALLER, **{'resource_id': 'lamp', 'verb': verb, 'topic': 't', 'host': 'h',
                                                  **values}).id


def entry(database, id):
    with database.reading() as tx:
        return tx.get_one(Entry, id)


def steps(database, id):
    with database.reading() as tx:
        return [(step.name, step.outcome) for step in
                tx.scalars(sa.select(Step).where(Step.entry_id == id).order_by(Step.id))]


def switch(lease, state):
    with lease.db.transaction() as tx:
        lease.hold(tx)
        db.swap(tx, tx.get_one(Lamp, 'lamp'), expect={}, state=state)


def expire(database, id):
    with database.transaction() as tx:
        past = database.now(tx) - datetime.timedelta(seconds=1)
        tx.execute(sa.update(Entry).where(Entry.id == id).values(lease_until=past))


def lamp(database):
    with database.reading() as tx:
        return tx.get_one(Lamp, 'lamp').state


def test_the_row_remembers_the_caller_but_not_the_token(database):
    kept = entry(database, begin(database)).context
    assert (kept['user_id'], kept['roles']) == ('u', ['member'])
    assert 'secret' not in str(kept)


def test_a_held_operation_is_not_taken_twice(database, worker):
    id = begin(database)
    first = worker('one').take(id, 't', 'h')
    assert first.epoch == 1
    assert worker('two').take(id, 't', 'h') is None
    assert worker('one').take(id, 't', 'h') is None


def test_a_message_that_comes_twice_is_obeyed_once(database, worker):
    id = begin(database)
    taken = []
    mine = worker()
    for run in [green.spawn(lambda: taken.append(mine.take(id, 't', 'h'))) for _ in range(8)]:
        run.wait()
    assert len([lease for lease in taken if lease]) == 1


def test_an_operation_whose_lease_ran_out_is_taken_over(database, worker):
    id = begin(database)
    worker('one').take(id, 't', 'h')
    expire(database, id)
    assert worker('two').waiting('t', 'h') == [id]
    assert worker('two').take(id, 't', 'h').epoch == 2


def test_a_stalled_worker_that_wakes_after_its_successor_changes_nothing(database, worker):
    id = begin(database)
    stalled = worker('one').take(id, 't', 'h')
    expire(database, id)
    successor = worker('two').take(id, 't', 'h')
    switch(successor, 'on')
    with pytest.raises(errors.Fenced):
        switch(stalled, 'broken')
    with pytest.raises(errors.Fenced), database.transaction() as tx:
        stalled.finish(tx)
    assert lamp(database) == 'on'
    assert entry(database, id).finished_at is None


def test_a_worker_that_starts_takes_what_its_dead_predecessor_held(database, worker):
    id = begin(database)
    dead = worker('one').take(id, 't', 'h')
    assert worker('two').waiting('t', 'h') == []
    assert worker('two').waiting('t', 'h', held=True) == [id]
    assert worker('two').take(id, 't', 'h', steal=True).epoch == 2
    with pytest.raises(errors.Fenced):
        dead.check()


def test_a_superseded_operation_is_finished_and_its_worker_fenced_off(database, worker):
    id = begin(database)
    lease = worker().take(id, 't', 'h')
    with database.transaction() as tx:
        journal.supersede(tx, Entry, 'lamp', 'Superseded.')
    with pytest.raises(errors.Fenced):
        switch(lease, 'on')
    assert (entry(database, id).outcome, lamp(database)) == ('Error', 'off')


def test_a_lease_is_renewed_while_a_step_runs(database, worker):
    id = begin(database)
    lease = worker('one', lease=2).take(id, 't', 'h')
    with lease.renewed():
        first = entry(database, id).lease_until
        wait.until(lambda: entry(database, id).lease_until > first + datetime.timedelta(seconds=1.6), timeout=20)
        assert worker('two').take(id, 't', 'h') is None
    wait.until(lambda: worker('two').take(id, 't', 'h'), timeout=20)


def test_an_operation_handed_over_waits_for_its_new_worker(database, worker):
    id = begin(database, topic='scheduler', host=None)
    lease = worker().take(id, 'scheduler')
    with database.transaction() as tx:
        lease.hand_over(tx, topic='compute', host='node2')
    assert worker().waiting('compute', 'node2') == [id]
    assert worker().waiting('scheduler') == []
    assert worker('one').take(id, 'scheduler') is None
    assert worker('one').take(id, 'compute', 'node1') is None
    assert worker('two').take(id, 'compute', 'node2').epoch == 2
    with pytest.raises(errors.Fenced):
        lease.check()


def test_an_operation_put_back_for_later_is_not_swept_up_at_once(database, worker):
    id = begin(database)
    lease = worker().take(id, 't', 'h')
    with database.transaction() as tx:
        lease.hand_over(tx, topic='t', host='h', seconds=1.5)
    assert worker().waiting('t', 'h') == []
    wait.until(lambda: worker().waiting('t', 'h') == [id], timeout=20)


# -- flows ---------------------------------------------------------------------------------------

class Trail:
    """A job that writes down what was done to it, and fails where it is told to."""

    def __init__(self, *failing):
        self.done, self.failing = [], list(failing)

    def step(self, name):
        def do(job):
            job._act(name)

        def undo(job):
            job._act('-' + name)
        do.__name__ = name
        return flow.Step(do, undo)

    def _act(self, name):
        self.done.append(name)
        if name in self.failing:
            self.failing.remove(name)
            raise errors.Conflict(f'{name} fails')


def three(trail):
    return flow.Flow('f', trail.step('a'), trail.step('b'), trail.step('c'))


def test_a_flow_records_each_step_before_it_acts(database, worker):
    id = begin(database)
    trail, seen = Trail(), []
    lease = worker().take(id, 't', 'h')
    flow.EDGES.append(lambda flow_name, step, edge: seen.append((step, edge, steps(database, id)[-1])))
    try:
        three(trail).run(trail, lease)
    finally:
        flow.EDGES.clear()
    assert [one for one in seen if one[1] == 'before'] == [
        (name, 'before', (name, None)) for name in ('a', 'b', 'c')]
    assert trail.done == ['a', 'b', 'c']


def test_a_failed_step_undoes_the_begun_ones_last_first(database, worker):
    id = begin(database)
    trail = Trail('b')
    with pytest.raises(errors.Conflict, match='b fails'):
        three(trail).run(trail, worker().take(id, 't', 'h'))
    assert trail.done == ['a', 'b', '-b', '-a']
    assert steps(database, id) == [('a', 'Success'), ('b', 'Error'), ('undo_b', 'Success'), ('undo_a', 'Success')]


def test_a_successor_does_the_step_that_was_under_way_again(database, worker):
    id = begin(database)
    dead = worker('one').take(id, 't', 'h')
    with database.transaction() as tx:
        dead.begin_step(tx, 'b')
    trail = Trail()
    three(trail).run(trail, worker('two').take(id, 't', 'h', steal=True))
    assert trail.done == ['b', 'c']


def test_a_successor_goes_on_unwinding_where_the_dead_one_stood(database, worker):
    id = begin(database)
    dead = worker('one').take(id, 't', 'h')
    with database.transaction() as tx:
        dead.begin_step(tx, 'undo_b')
        dead.hold(tx, unwinding=True, message='c failed')
    trail = Trail()
    with pytest.raises(errors.Error, match='c failed'):
        three(trail).run(trail, worker('two').take(id, 't', 'h', steal=True))
    assert trail.done == ['-b', '-a']


def test_an_undo_that_fails_leaves_the_operation_open_to_be_unwound_again(database, worker):
    id = begin(database)
    trail = Trail('b', '-a')
    with pytest.raises(flow.NotUndone):
        three(trail).run(trail, worker('one').take(id, 't', 'h'))
    assert entry(database, id).finished_at is None
    with pytest.raises(errors.Error, match='b fails'):
        three(trail).run(trail, worker('two').take(id, 't', 'h', steal=True))
    assert trail.done == ['a', 'b', '-b', '-a', '-a']


def test_a_fenced_worker_does_not_unwind_what_its_successor_builds(database, worker):
    id = begin(database)
    lease = worker('one').take(id, 't', 'h')
    trail = Trail()

    def overtaken(job):
        worker('two').take(id, 't', 'h', steal=True)
    overtaken.__name__ = 'b'
    steps_ = flow.Flow('f', trail.step('a'), flow.Step(overtaken), trail.step('c'))
    with pytest.raises(errors.Fenced):
        steps_.run(trail, lease)
    assert trail.done == ['a']


# -- performers ----------------------------------------------------------------------------------

@pytest.fixture
def perform(worker):
    def make(handler, *, name='one', attempts=5, given_up=None, pause=0.05):
        return Performer(worker(name), 't', 'h', {'light': handler}, attempts=attempts, pause=pause,
                         give_up=given_up or (lambda lease: pytest.fail('given up')))
    return make


def lit(lease):
    with lease.db.transaction() as tx:
        lease.finish(tx)
        db.swap(tx, tx.get_one(Lamp, 'lamp'), expect={}, state='on')


def test_a_lost_message_is_made_good_by_the_sweep(database, perform):
    begin(database)
    performer = perform(lit)
    performer.sweep()
    wait.until(lambda: lamp(database) == 'on')


def test_a_restart_takes_up_what_was_under_way(database, worker, perform):
    id = begin(database)
    worker('dead').take(id, 't', 'h')
    assert perform(lit).recover() == 1
    wait.until(lambda: entry(database, id).outcome == 'Success')


def test_an_operation_that_breaks_off_is_taken_up_again(database, perform):
    id = begin(database)
    failures = [ValueError('once'), ValueError('twice')]

    def shaky(lease):
        if failures:
            raise failures.pop()
        lit(lease)
    performer = perform(shaky)
    performer.perform(id)

    def swept():
        performer.sweep()
        return lamp(database) == 'on'
    wait.until(swept, timeout=10)
    assert entry(database, id).epoch == 3


def test_an_operation_begun_too_often_is_given_up(database, perform):
    id = begin(database)

    def given_up(lease):
        with lease.db.transaction() as tx:
            lease.finish(tx, 'Error', 'too often')

    def broken(lease):
        raise ValueError
    performer = perform(broken, attempts=2, given_up=given_up, pause=0.01)
    performer.perform(id)

    def swept():
        performer.sweep()
        return entry(database, id).outcome == 'Error'
    wait.until(swept, timeout=10)
    assert entry(database, id).message == 'too often'


def test_operations_on_one_resource_run_one_after_the_other(database, perform):
    ids = [begin(database) for _ in range(4)]
    inside, worst = [], []

    def slow(lease):
        inside.append(lease)
        worst.append(len(inside))
        green.sleep(0.01)
        inside.remove(lease)
        lit(lease)
    performer = perform(slow)
    for run in [green.spawn(performer.perform, id) for id in ids]:
        run.wait()
    assert worst == [1, 1, 1, 1]


def test_sweeps_of_a_busy_worker_heap_up_nothing(database):
    class Counting(journal.Journal):
        taken = 0

        def take(self, *args, **options):
            self.taken += 1
            return super().take(*args, **options)
    blocked = green.Event()

    def waits(lease):
        blocked.wait()
        with lease.db.transaction() as tx:
            lease.finish(tx)
    counting = Counting(database, Entry, Step, 'one')
    performer = Performer(counting, 't', 'h', {'light': waits}, give_up=lit, limit=1)
    ids = [begin(database, resource_id=f'r{n}') for n in range(4)]
    for _ in range(20):
        performer.sweep()
        green.sleep(0)
    blocked.set()
    wait.until(lambda: all(entry(database, id).outcome == 'Success' for id in ids))
    assert counting.taken <= len(ids) + 1


def test_what_runs_at_once_is_bounded(database, worker):
    ids = [begin(database, resource_id=f'r{n}') for n in range(6)]
    inside, worst = [], []

    def slow(lease):
        inside.append(lease)
        worst.append(len(inside))
        wait.until(lambda: len(worst) > 1, 30, 'a second one')
        green.sleep(0.01)
        inside.remove(lease)
        lit(lease)
    performer = Performer(worker(), 't', 'h', {'light': slow}, give_up=lit, limit=2)
    for run in [green.spawn(performer.perform, id) for id in ids]:
        run.wait()
    assert max(worst) == 2
    assert len(worst) == 6
