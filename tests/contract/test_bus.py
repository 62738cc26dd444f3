"""The contract of a bus, on the local one and on RabbitMQ."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from strata import context as contexts
from strata import errors, green, rpc
from strata.context import Context
from strata.rpc.bus import Full, Unroutable
from strata.testing import wait

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class OddTaste(errors.Conflict):
    """A service's own error."""

    message = '{what} does not go with {other}.'


class Box(rpc.Interface):
    topic = 'box'

    put = rpc.cast('item')
    hold = rpc.cast('item')
    spoil = rpc.cast()
    get = rpc.call('item')
    fail = rpc.call('how')
    odd = rpc.call()
    linger = rpc.call(timeout=0.3)
    relay = rpc.call('item')
    whoami = rpc.call()


@rpc.serves(Box)
class Manager:
    """Keeps what it is sent; ``gate`` holds those that ``hold``."""

    def __init__(self, name='', bus=None):
        self.name, self.bus, self.items, self.contexts = name, bus, [], []
        self.gate, self.waiting = green.Event(), 0

    def put(self, context, item):
        self.contexts.append((context, contexts.CURRENT.get()))
        self.items.append(item)

    def hold(self, context, item):
        self.waiting += 1
        self.gate.wait()
        self.items.append(item)

    def spoil(self, context):
        raise ValueError('spoilt')

    def get(self, context, item):
        return item

    def fail(self, context, how):
        if how == 'odd':
            raise OddTaste(what='Fish', other='chocolate')
        if how == 'unexpected':
            raise ValueError('the password is hunter2')
        raise errors.NotFound(kind='Server', id='{id}', headers={'Retry-After': '3'})

    def odd(self, context):
        return {1, 2, 3}

    def linger(self, context):
        self.gate.wait()

    def relay(self, context, item):
        return Box(self.bus).get(context, host='other', item=item)

    def whoami(self, context):
        return self.name


class LocalWire:
    """One bus on which all live."""

    kind = 'local'

    def __init__(self, **options):
        self.client = rpc.connect('local://', 'test', **options)
        self.client.start()

    def worker(self, host='node1', **options):
        manager = Manager(host, self.client)
        self.client.attach(manager, host)
        return manager

    def close(self):
        self.client.kill()


class AmqpWire:
    """A client and workers, each with connections of its own."""

    kind = 'amqp'

    def __init__(self, url, **options):
        self._url, self._options = url, options
        self.client = rpc.connect(url, 'test', **options)
        self.buses = []

    def worker(self, host='node1'):
        bus = rpc.connect(self._url, 'test', **self._options)
        manager = Manager(host, bus)
        bus.attach(manager, host)
        bus.start()
        self.buses.append(bus)
        return manager

    def close(self):
        for bus in self.buses:
            bus.kill()
        self.client.kill()


@pytest.fixture
def make_local():
    """Makes local wires; closes them."""
    made = []

    def make(**options):
        made.append(LocalWire(**options))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def make_amqp(rabbit_url):
    """Makes AMQP wires; closes them."""
    made = []

    def make(**options):
        made.append(AmqpWire(rabbit_url, **options))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture(params=['local', pytest.param('amqp', marks=pytest.mark.server)])
def make(request):
    """Makes wires of both kinds."""
    return request.getfixturevalue(f'make_{request.param}')


@pytest.fixture
def wire(make):
    """A wire with the usual bounds."""
    return make()


@pytest.fixture
def context():
    """A caller with everything set that travels, and a token that must not."""
    return Context(user_id='u1', project_id='p1', roles=('member', 'reader'), is_admin=True, token='secret')


def test_a_cast_to_a_host_reaches_that_host_only(wire, context):
    one, two = wire.worker('node1'), wire.worker('node2')
    Box(wire.client).put(context, host='node2', item={'a': [1, 2.5, None, 'ü']})
    wait.until(lambda: two.items)
    assert (one.items, two.items) == ([], [{'a': [1, 2.5, None, 'ü']}])


def test_the_caller_s_context_travels_without_its_token(wire, context):
    manager = wire.worker()
    Box(wire.client).put(context, item=1)
    wait.until(lambda: manager.items)
    given, current = manager.contexts[0]
    assert given == current
    assert given.token is None
    assert {**given.to_dict()} == {**context.to_dict()}
    assert given.roles == ('member', 'reader')


def test_a_cast_does_not_wait_for_its_work(wire, context):
    manager = wire.worker()
    Box(wire.client).hold(context, item=1)
    assert manager.items == []
    manager.gate.set()
    wait.until(lambda: manager.items == [1])


def test_workers_of_a_topic_share_its_messages_in_turn(wire, context):
    managers = [wire.worker('node1'), wire.worker('node2')]
    for number in range(10):
        Box(wire.client).put(context, item=number)
    wait.until(lambda: sum(len(manager.items) for manager in managers) == 10)
    assert [len(manager.items) for manager in managers] == [5, 5]


def test_a_fanout_reaches_all_of_a_topic(wire, context):
    managers = [wire.worker('node1'), wire.worker('node2'), wire.worker('node3')]
    Box(wire.client).put(context, fanout=True, item='all')
    wait.until(lambda: all(manager.items == ['all'] for manager in managers))


def test_a_call_brings_the_answer(wire, context):
    wire.worker()
    assert Box(wire.client).get(context, host='node1', item=(1, 'two', {'three': None})) == \
        [1, 'two', {'three': None}]


def test_a_worker_may_call_another_while_it_works(wire, context):
    wire.worker('node1'), wire.worker('other')
    assert Box(wire.client).relay(context, host='node1', item='far') == 'far'


def test_many_callers_each_get_their_own_answer(wire, context):
    wire.worker('node1'), wire.worker('node2')
    callers = [green.spawn(Box(wire.client).get, context, item=number) for number in range(200)]
    assert [caller.wait(30) for caller in callers] == list(range(200))


def test_many_greenlets_publish_at_the_same_time(wire, context):
    manager = wire.worker()
    for sender in [green.spawn(Box(wire.client).put, context, item=number) for number in range(300)]:
        sender.wait(30)
    wait.until(lambda: sorted(manager.items) == list(range(300)))


def test_an_error_arrives_as_the_class_it_was(wire, context):
    wire.worker()
    with pytest.raises(errors.NotFound) as caught:
        Box(wire.client).fail(context, how='known')
    assert type(caught.value) is errors.NotFound
    assert (caught.value.status, str(caught.value)) == (404, 'Server {id} could not be found.')
    assert caught.value.details == {'kind': 'Server', 'id': '{id}'}
    assert caught.value.headers == {'Retry-After': '3'}


def test_a_service_s_own_error_arrives_as_itself_or_its_nearest_relative(wire, context):
    wire.worker()
    with pytest.raises(OddTaste, match='Fish does not go with chocolate') as caught:
        Box(wire.client).fail(context, how='odd')
    assert caught.value.status == 409


def test_of_an_unexpected_error_only_the_class_is_told(wire, context, caplog):
    wire.worker()
    with pytest.raises(errors.Error) as caught:
        Box(wire.client).fail(context, how='unexpected')
    assert caught.value.status == 500
    assert 'ValueError' in str(caught.value)
    assert 'hunter2' not in str(caught.value)
    assert 'hunter2' in caplog.text


def test_an_exception_in_a_cast_is_logged_with_its_request(wire, context, caplog):
    from strata import log
    caplog.handler.addFilter(log._Request())
    manager = wire.worker()
    Box(wire.client).spoil(context)
    Box(wire.client).put(context, item='next')
    wait.until(lambda: manager.items == ['next'])
    record = wait.until(lambda: next((r for r in caplog.records if r.exc_info), None))
    assert 'spoil' in record.getMessage()
    assert record.request.startswith(context.request_id)


def test_an_answer_that_cannot_be_sent_becomes_an_error_at_once(wire, context):
    wire.worker()
    with pytest.raises(errors.Error, match='the answer to odd cannot be sent'):
        Box(wire.client).odd(context)


def test_arguments_that_cannot_be_sent_are_refused_before_sending(wire, context):
    manager = wire.worker()
    with pytest.raises(TypeError, match='an argument of put cannot be sent'):
        Box(wire.client).put(context, item={1, 2})
    assert manager.items == []


def test_a_cast_nobody_listens_for_passes(wire, context):
    wire.worker()
    Box(wire.client).put(context, host='nowhere', item=1)
    Box(wire.client).put(context, host='node1', item=2)


def test_a_call_nobody_listens_for_fails_at_once(wire, context):
    wire.worker()
    Box(wire.client).get(context, item=1)      # connected
    begun = time.monotonic()
    with pytest.raises(Unroutable) as caught:
        Box(wire.client).get(context, host='nowhere', item=1)
    assert time.monotonic() - begun < 20      # else a minute
    assert isinstance(caught.value, errors.Unavailable)
    assert caught.value.status == 503


def test_a_call_that_is_not_answered_in_time_raises(wire, context):
    wire.worker()
    with pytest.raises(errors.Timeout, match='linger at box did not answer in time') as caught:
        Box(wire.client).linger(context)
    assert caught.value.status == 504


def test_an_answer_that_comes_too_late_harms_nobody(wire, context):
    manager = wire.worker()
    with pytest.raises(errors.Timeout):
        Box(wire.client).linger(context)
    manager.gate.set()
    assert Box(wire.client).get(context, item='next') == 'next'


def test_a_verb_that_is_none_is_refused(wire, context):
    wire.worker()
    with pytest.raises(errors.Unsupported):
        wire.client.call('box', '__init__', context, {}, timeout=5)
    with pytest.raises(errors.Error, match='TypeError'):
        wire.client.call('box', 'get', context, {'wrong': 1}, timeout=5)


def test_a_worker_works_on_a_bounded_number_of_messages(make, context):
    wire = make(concurrency=3)
    manager = wire.worker()
    for number in range(10):
        Box(wire.client).hold(context, item=number)
    wait.until(lambda: manager.waiting == 3)
    with pytest.raises(AssertionError):
        wait.until(lambda: manager.waiting > 3, timeout=0.2)
    manager.gate.set()
    wait.until(lambda: sorted(manager.items) == list(range(10)))


def test_a_full_queue_refuses_calls_and_drops_casts(make, context, caplog):
    wire = make(concurrency=1, limit=5)
    manager = wire.worker()
    Box(wire.client).hold(context, item=0)
    wait.until(lambda: manager.waiting == 1)
    for number in range(1, 30):
        Box(wire.client).hold(context, item=number)
    assert 'is full' in caplog.text
    with pytest.raises(Full):
        Box(wire.client).get(context, item=1)
    manager.gate.set()
    wait.until(lambda: len(manager.items) >= 6)
    wait.until(lambda: _answers(wire, context), message='the queue takes messages again')
    # one is worked on, and with AMQP one more is on its way to a place
    assert len(manager.items) in range(6, 10)


def _answers(wire, context):
    try:
        return Box(wire.client).get(context, item='again') == 'again'
    except Full:
        return False


def test_a_dropped_cast_is_lost_and_the_next_one_comes(wire, context):
    manager = wire.worker()
    wire.client.faults.drop('put')
    for number in range(3):
        Box(wire.client).put(context, item=number)
    wait.until(lambda: manager.items == [1, 2])
    assert wire.client.faults.dropped == 1


def test_a_doubled_cast_comes_twice(wire, context):
    manager = wire.worker()
    wire.client.faults.double('put')
    Box(wire.client).put(context, item=1)
    Box(wire.client).put(context, item=2)
    wait.until(lambda: sorted(manager.items) == [1, 1, 2])


def test_a_delayed_cast_comes_out_of_order(wire, context):
    manager = wire.worker()
    wire.client.faults.delay('put', seconds=0.5)
    Box(wire.client).put(context, item='first')
    Box(wire.client).put(context, item='second')
    wait.until(lambda: manager.items == ['second', 'first'])


def test_a_doubled_call_is_answered_once(wire, context):
    wire.worker()
    wire.client.faults.double('get')
    assert Box(wire.client).get(context, item=1) == 1
    assert Box(wire.client).get(context, item=2) == 2


def test_a_dropped_call_times_out(wire, context):
    wire.worker()
    wire.client.faults.drop('get')
    with pytest.raises(errors.Timeout):
        Box(wire.client).get(context, item=1, timeout=0.2)


def test_a_stopped_worker_finishes_what_is_under_way(wire, context):
    manager = wire.worker()
    Box(wire.client).hold(context, item=1)
    wait.until(lambda: manager.waiting)
    stopping = green.spawn(manager.bus.stop, 10)
    wait.until(lambda: not manager.bus.running)
    manager.gate.set()
    stopping.wait(10)
    assert manager.items == [1]


def test_a_stopped_worker_gives_up_what_does_not_end(wire, context):
    manager = wire.worker()
    Box(wire.client).hold(context, item=1)
    wait.until(lambda: manager.waiting)
    manager.bus.stop(grace=0.1)
    manager.gate.set()
    assert manager.items == []


def test_a_waiting_caller_is_told_when_its_bus_stops(wire, context):
    wire.worker()
    calling = green.spawn(Box(wire.client).linger, context, timeout=30)
    wait.until(lambda: wire.client._answers._waiting)
    green.sleep(0)
    wire.client.stop(grace=0)
    with pytest.raises(errors.Unavailable):
        calling.wait(5)


def test_sending_inside_a_transaction_is_refused_in_strict_mode(wire, context):
    wire.worker()
    with green.no_switch('a transaction'):
        with pytest.raises(green.SwitchInTransaction):
            Box(wire.client).put(context, item=1)
        with pytest.raises(green.SwitchInTransaction):
            Box(wire.client).get(context, item=1)


def test_a_manager_that_lacks_a_verb_is_refused():
    with pytest.raises(TypeError, match="Half lacks .*'put'"):
        @rpc.serves(Box)
        class Half:
            def get(self, context, item):
                return item


def test_a_verb_takes_its_own_arguments_only(wire, context):
    with pytest.raises(TypeError, match='put takes'):
        Box(wire.client).put(context, thing=1)
    with pytest.raises(TypeError, match='only a cast'):
        Box(wire.client).get(context, fanout=True, item=1)


@pytest.mark.parametrize('url', ['kafka://x', 'rabbit://host:port/'])
def test_a_transport_url_that_is_none_is_refused(url):
    with pytest.raises(errors.Invalid, match='transport_url'):
        rpc.connect(url, 'nova')


# what only one of them can show

def test_drain_waits_for_everything_a_message_leads_to(make_local, context):
    class Chain(rpc.Interface):
        topic = 'chain'
        step = rpc.cast('left')

    @rpc.serves(Chain)
    class Links:
        seen = 0

        def step(self, context, left):
            self.seen += 1
            if left:
                green.sleep(0.001)
                Chain(bus).step(context, left=left - 1)
    bus, links = make_local().client, Links()
    bus.attach(links, 'node1')
    bus.faults.delay('step', seconds=0.05)
    Chain(bus).step(context, left=20)
    bus.drain()
    assert links.seen == 21
    assert list(bus.log)[:1] == [('chain', 'step')]


def test_drain_that_takes_too_long_raises(make_local, context):
    wire = make_local()
    manager = wire.worker()
    Box(wire.client).hold(context, item=1)
    with pytest.raises(errors.Timeout, match='The bus did not answer'):
        wire.client.drain(timeout=0.05)
    manager.gate.set()
    wire.client.drain()


def test_messages_pass_a_worker_that_is_full(make_local, context):
    wire = make_local(concurrency=1)
    slow, quick = wire.worker('node1'), wire.worker('node2')
    Box(wire.client).hold(context, host='node1', item=1)
    wait.until(lambda: slow.waiting)
    for number in range(4):
        Box(wire.client).put(context, item=number)
        wait.until(lambda number=number: quick.items[-1:] == [number])
    slow.gate.set()


def test_an_alien_message_does_not_stop_a_worker(make_amqp, context):
    wire = make_amqp()
    manager = wire.worker()
    publishers = wire.client._publishers
    publishers.publish('test', 'box', b'{}', content_type='text/plain')
    publishers.publish('test', 'box', b'\xff', message_id='1',
                       application_headers={'verb': 'put', 'context': '{}'})
    Box(wire.client).put(context, item=1)
    wait.until(lambda: manager.items == [1])


def test_everything_resumes_after_the_broker_was_killed(make_amqp, rabbit, context):
    wire = make_amqp()
    manager = wire.worker()
    assert Box(wire.client).get(context, item=1) == 1
    calling = green.spawn(Box(wire.client).linger, context, timeout=60)
    wait.until(lambda: wire.client._answers._waiting)
    rabbit.kill()
    with pytest.raises(errors.Unavailable):      # its answer can never come
        calling.wait(10)
    begun = time.monotonic()
    Box(wire.client).put(context, host='node1', item='lost')      # a cast never raises
    with pytest.raises(errors.Unavailable):
        Box(wire.client).get(context, item=1)
    assert time.monotonic() - begun < 15
    rabbit.start()
    wait.until(lambda: _gets(wire, context), 30, 'calls work again')
    Box(wire.client).put(context, fanout=True, item='after')
    wait.until(lambda: manager.items == ['after'])


def _gets(wire, context):
    try:
        return Box(wire.client).get(context, host='node1', item=1, timeout=5) == 1
    except errors.Unavailable:
        return False


def test_a_worker_whose_connection_drops_comes_back(make_amqp, context):
    wire = make_amqp()
    manager = wire.worker()
    [desk] = manager.bus._desks
    desk.listener._link.connection.sock.shutdown(2)
    wait.until(lambda: not desk.listener.ready.is_set())
    assert desk.listener.ready.wait(10)
    Box(wire.client).put(context, host='node1', item='after')
    wait.until(lambda: manager.items == ['after'])


def test_a_stale_publishing_connection_is_replaced_unnoticed(make_amqp, context):
    wire = make_amqp()
    manager = wire.worker()
    for sender in [green.spawn(Box(wire.client).put, context, item=0) for _ in range(20)]:
        sender.wait(10)
    idle = wire.client._publishers._idle
    assert len(idle) > 1
    for publisher in idle:
        publisher.link.connection.sock.shutdown(2)
    Box(wire.client).put(context, item=1)
    wait.until(lambda: 1 in manager.items)


def test_a_publisher_that_is_killed_in_mid_sentence_spoils_nothing(make_amqp, context):
    wire = make_amqp()
    manager = wire.worker()
    for _ in range(20):
        sender = green.spawn(Box(wire.client).put, context, item='torn')
        green.sleep(0)
        sender.kill()
    for number in range(20):
        Box(wire.client).put(context, item=number)
    wait.until(lambda: [item for item in manager.items if item != 'torn'] == list(range(20)))


def test_a_broker_that_hangs_holds_up_nobody_for_long(make_amqp, rabbit, context, monkeypatch):
    from strata.rpc import amqp
    monkeypatch.setattr(amqp, 'CONFIRM', 0.5)
    monkeypatch.setattr(amqp, 'CONNECT', 0.5)
    wire = make_amqp()
    manager = wire.worker()
    assert Box(wire.client).get(context, item=1) == 1
    begun = time.monotonic()
    with rabbit.paused():
        for sender in [green.spawn(Box(wire.client).put, context, item='hung') for _ in range(50)]:
            sender.wait(20)
        assert time.monotonic() - begun < 10
    wait.until(lambda: _gets(wire, context), 30, 'calls work again')
    Box(wire.client).put(context, host='node1', item='after')
    wait.until(lambda: 'after' in manager.items)


FORKED = """
from strata import green
green.patch()
import os, sys
from strata import rpc
from strata.service import Service

class Box(rpc.Interface):
    topic = 'box'
    whoami = rpc.call()

@rpc.serves(Box)
class Manager:
    def whoami(self, context):
        return os.getpid()

bus = rpc.connect(sys.argv[1], 'test')      # before the fork; it connects in the children
def setup(service):
    service.add_manager(bus, Manager(), 'node1')
sys.exit(Service('forked', grace=5).prefork(2, setup))
"""


def test_forked_workers_each_have_connections_of_their_own(make_amqp, rabbit_url, context, tmp_path):
    wire, script = make_amqp(), tmp_path / 'forked.py'
    script.write_text(FORKED)
    process = subprocess.Popen([sys.executable, str(script), rabbit_url], env={**os.environ, 'PYTHONPATH': ROOT})
    try:
        pids = set()

        def both():
            with contextlib.suppress(errors.Unavailable):
                pids.add(Box(wire.client).whoami(context))
            return len(pids) == 2
        wait.until(both, 30, 'answers from both children')
        assert process.pid not in pids
        process.terminate()
        wait.until(lambda: process.poll() == 0, 20, 'a graceful end')
    finally:
        process.kill()
        process.wait()


def test_a_daemon_starts_before_its_broker(rabbit, context):
    url = rabbit.url
    rabbit.kill()
    bus = rpc.connect(url, 'test')
    manager = Manager()
    bus.attach(manager, 'node1')
    try:
        starting = green.spawn(bus.start)
        rabbit.start()
        starting.wait(30)
        wait.until(lambda: bus._desks[0].listener.ready.is_set(), 30)
        Box(bus).put(context, host='node1', item=1)
        wait.until(lambda: manager.items == [1])
    finally:
        bus.kill()
