"""The rules of the green floor; each of them was a hang, a freeze or an error when it was missing."""

import contextvars
import logging
import os
import subprocess
import sys
import time

import pytest

from strata import green


def in_a_child(function):
    """What a forked child says about ``function``; a hang there is a failure here."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        word = b'failed'
        try:
            green.after_fork()
            word = function()
        finally:
            os.write(writer, word)
            os._exit(0)
    os.close(writer)
    try:
        with green.timeout(10):
            green.readable(reader)
        return os.read(reader, 100)
    finally:
        os.close(reader)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def in_a_new_process(code):
    """Output of an interpreter of its own."""
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True,
                          timeout=60, check=True, cwd=os.getcwd()).stdout.strip()


# -- patching

def test_patching_twice_changes_nothing():
    before = time.sleep
    green.patch()
    assert green.patched()
    assert time.sleep is before


def test_psycopg_waits_green():
    assert in_a_new_process(
        'from strata import green\ngreen.patch()\n'
        'from psycopg import waiting\nprint(waiting.wait is waiting.wait_selector)') == 'True'


def test_patching_after_psycopg_was_imported_is_refused():
    assert 'before psycopg' in in_a_new_process(
        'import psycopg\nfrom strata import green\n'
        'try:\n    green.patch()\nexcept RuntimeError as error:\n    print(error)')


@pytest.mark.server
def test_queries_of_postgres_run_beside_each_other(postgres_url):
    import sqlalchemy as sa

    from strata.testing import wait
    engine = sa.create_engine(postgres_url, connect_args={'options': '-c lock_timeout=30s'})
    waiting = sa.text("select count(*) from pg_locks where locktype = 'advisory' and not granted")

    def query():
        with engine.connect() as connection:
            connection.execute(sa.text('select pg_advisory_lock_shared(1)'))
    with engine.connect() as holder:
        holder.execute(sa.text('select pg_advisory_lock(1)'))
        queries = [green.spawn(query) for _ in range(4)]
        wait.until(lambda: holder.scalar(waiting) == 4, 20, 'all four wait at the same time')
        holder.execute(sa.text('select pg_advisory_unlock(1)'))
    for each in queries:
        each.wait(20)
    engine.dispose()


# -- fork

def test_a_forked_child_has_a_hub_of_its_own():
    green.sleep(0.01)      # the parent has a hub with a timer and an epoll descriptor
    stray = []
    green.spawn(lambda: (green.sleep(0.05), stray.append(os.getpid())))
    green.sleep(0)

    def child():
        green.sleep(0.1)
        reader, writer = os.pipe()
        green.spawn(os.write, writer, b'x')
        green.readable(reader)
        return b'alone' if not stray else b'runs the greenlets of its parent'
    assert in_a_child(child) == b'alone'
    green.sleep(0.1)
    assert stray == [os.getpid()]


def test_the_thread_pool_works_in_a_child_though_the_parent_used_it():
    assert green.native(len, 'ab') == 2
    assert in_a_child(lambda: b'works' if green.native(len, 'abc') == 3 else b'lies') == b'works'


# -- native threads

def test_a_native_call_lets_others_run():
    turns = []
    green.spawn(lambda: [turns.append(green.sleep(0.01)) for _ in range(3)])
    green.native(green.processes.time.sleep, 0.2)
    assert len(turns) == 3


def test_a_native_call_raises_what_the_function_raised():
    with pytest.raises(ZeroDivisionError):
        green.native(lambda: 1 / 0)


def test_a_native_call_sees_the_context_of_its_caller():
    variable = contextvars.ContextVar('variable')
    variable.set('request')
    assert green.native(variable.get) == 'request'


def test_logging_from_native_threads_and_greenlets_at_once_does_not_deadlock(tmp_path):
    path = tmp_path / 'log'
    handler = green.nativize(logging.FileHandler(path))
    log = logging.getLogger('test.native')
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)

    def many(name):
        for number in range(300):
            log.info('%s %d', name, number)
    with green.timeout(20):
        threads = [green.threads.Thread(target=many, args=(f'thread {n}',)) for n in range(4)]
        for thread in threads:
            thread.start()
        green.Pool(4).map(many, [f'greenlet {n}' for n in range(4)])
        green.Pool(4).map(lambda n: green.native(many, f'native {n}'), range(4))
        while any(thread.is_alive() for thread in threads):
            green.sleep(0.01)
    handler.close()
    assert len(path.read_text().splitlines()) == 12 * 300


def test_a_handler_is_native_from_birth():
    assert type(logging.StreamHandler().lock) is type(green.threads.RLock())


def test_a_native_thread_that_logs_while_a_greenlet_holds_the_lock_waits_and_goes_on(tmp_path):
    handler = green.nativize(logging.FileHandler(tmp_path / 'log'))
    record = logging.makeLogRecord({'msg': 'from a native thread'})
    handler.acquire()
    thread = green.threads.Thread(target=handler.handle, args=(record,))
    thread.start()
    green.sleep(0.05)
    handler.release()
    with green.timeout(5):
        while thread.is_alive():
            green.sleep(0.01)
    handler.close()
    assert 'native' in (tmp_path / 'log').read_text()


def test_names_are_resolved_without_stopping_others():
    import socket
    assert socket.getaddrinfo('127.0.0.1', 80)[0][4] == ('127.0.0.1', 80)
    assert socket.getaddrinfo('localhost', 80)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo('no-such-host.invalid', 80)
    with green.no_switch('a test'), pytest.raises(green.SwitchInTransaction):
        socket.getaddrinfo('no-such-host.invalid', 80)


# -- no switch inside a transaction

WAITS = {
    'sleep': lambda: green.sleep(0),
    'a standard sleep': lambda: time.sleep(0),
    'a native call': lambda: green.native(len, ''),
    'an event': lambda: green.Event().wait(0.01),
    'a queue': lambda: green.Queue().get(timeout=0.01),
    'a lock': lambda: green.Semaphore(0).acquire(timeout=0.01),
    'another greenlet': lambda: green.spawn(lambda: None).wait(),
    'killing': lambda: green.spawn(lambda: None).kill(),
    'a pipe': lambda: green.readable(os.pipe()[0]),
}


@pytest.mark.parametrize('wait', WAITS.values(), ids=WAITS)
def test_waiting_inside_a_transaction_raises(wait):
    with green.no_switch('the transaction'):
        with pytest.raises(green.SwitchInTransaction, match='inside the transaction'):
            wait()
    green.sleep(0)      # and is allowed again behind it


def test_http_inside_a_transaction_raises():
    import socket
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client:
            with green.no_switch('a transaction'), pytest.raises(green.SwitchInTransaction):
                client.recv(1)


def test_blocks_nest():
    with green.no_switch('outer'):
        with green.no_switch('inner'):
            with pytest.raises(green.SwitchInTransaction, match='inner'):
                green.sleep(0)
        with pytest.raises(green.SwitchInTransaction, match='outer'):
            green.sleep(0)
    green.sleep(0)


def test_an_exception_leaves_the_block():
    with pytest.raises(ValueError):
        with green.no_switch('a transaction'):
            raise ValueError
    green.sleep(0)


def test_only_the_greenlet_in_the_block_is_held_to_it():
    done = []
    green.spawn(lambda: (green.sleep(0), done.append(True)))
    green.sleep(0)
    with green.no_switch('a transaction'):
        pass
    green.sleep(0.01)
    assert done


def test_starting_others_inside_a_transaction_is_fine():
    with green.no_switch('a transaction'):
        worker = green.spawn(lambda: 5)
    assert worker.wait() == 5


def test_in_service_the_block_costs_next_to_nothing_and_forbids_nothing():
    green.strict(False)
    began = time.perf_counter()
    for _ in range(10000):
        with green.no_switch('a transaction'):
            pass
    each = (time.perf_counter() - began) / 10000
    with green.no_switch('a transaction'):
        green.sleep(0)
    assert each < 20e-6      # about 0.3 us; the bound allows for a busy machine


# -- greenlets

def test_a_greenlet_returns_its_value_or_raises_its_error():
    assert green.spawn(lambda: 5).wait() == 5
    with pytest.raises(KeyError):
        green.spawn(lambda: {}['x']).wait()


def test_an_error_nobody_waits_for_is_logged(caplog):
    green.spawn(lambda: 1 / 0)
    green.sleep(0.01)
    assert 'ZeroDivisionError' in caplog.text


def test_waiting_can_be_bounded():
    worker = green.spawn(green.sleep, 10)
    with pytest.raises(TimeoutError):
        worker.wait(0.01)
    worker.kill()
    assert worker.wait() is None
    assert worker.dead


def test_a_greenlet_can_be_killed_before_it_began():
    ran = []
    worker = green.spawn(ran.append, 1)
    worker.kill()
    assert worker.wait() is None
    green.sleep(0)
    assert ran == []


def test_a_greenlet_inherits_the_context_but_does_not_share_it():
    variable = contextvars.ContextVar('variable', default='none')
    variable.set('mine')
    seen = []

    def look():
        seen.append(variable.get())
        variable.set('yours')
    green.spawn(look).wait()
    assert seen == ['mine']
    assert variable.get() == 'mine'


def test_an_event_wakes_all_who_wait_and_can_be_used_again():
    event = green.Event()
    workers = [green.spawn(event.wait, 5) for _ in range(3)]
    green.sleep(0)
    event.set()
    assert [worker.wait() for worker in workers] == [True] * 3
    assert event.wait()
    event.clear()
    assert not event.wait(0.01)


def test_a_pool_is_bounded_and_keeps_order():
    running, most = set(), []

    def work(number):
        running.add(number)
        most.append(len(running))
        green.sleep(0.001 * (5 - number))
        running.discard(number)
        return number * 2
    assert green.Pool(2).map(work, range(5)) == [0, 2, 4, 6, 8]
    assert max(most) == 2


def test_a_killed_pool_has_all_its_places_again():
    pool = green.Pool(2)
    pool.spawn(green.sleep, 10)
    green.sleep(0)
    pool.spawn(green.sleep, 10)      # not begun when it is killed
    pool.kill()
    assert len(pool) == 0
    assert pool.map(str, range(4)) == ['0', '1', '2', '3']


def test_a_timeout_raises_in_the_block_that_takes_too_long():
    with pytest.raises(TimeoutError):
        with green.timeout(0.01):
            green.sleep(10)
    with pytest.raises(KeyError):
        with green.timeout(0.01, KeyError('late')):
            green.sleep(10)
    with green.timeout(None):
        pass
    with green.timeout(0.01):
        pass
    green.sleep(0.02)


# -- watches

@pytest.fixture
def pair():
    mine, other = green.sockets.socketpair()
    mine.setblocking(False)
    other.setblocking(False)
    watch = green.Watch(mine.fileno())
    yield mine, other, watch
    watch.close()
    mine.close()
    other.close()


def nothing_there(sock, watch):
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    watch.ready = False


def test_a_watch_tells_of_what_comes_and_of_the_end(pair):
    mine, other, watch = pair
    for word in (b'one', b'two'):
        nothing_there(mine, watch)
        green.spawn(other.send, word)
        with green.timeout(5):
            watch.read()
        assert mine.recv(100) == word and not watch.ended
    nothing_there(mine, watch)
    green.spawn(other.shutdown, green.sockets.SHUT_WR)
    with green.timeout(5):
        watch.read()
    assert watch.ended and mine.recv(100) == b''


def test_an_end_that_comes_along_with_data_is_not_overlooked(pair):
    mine, other, watch = pair
    nothing_there(mine, watch)
    other.send(b'last words')
    other.close()
    with green.timeout(5):
        watch.read()
    assert watch.ended and mine.recv(100) == b'last words'


def test_a_watch_waits_for_room(pair):
    mine, other, watch = pair
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += mine.send(b'x' * 65536)

    def take_all():
        left = sent
        while left:
            left -= len(other.recv(1 << 20))
    green.spawn(take_all)
    with green.timeout(5):
        watch.write()
    assert mine.send(b'x') == 1


def test_of_several_watches_the_first_that_is_ready_is_enough(pair):
    mine, other, watch = pair
    also, far = green.sockets.socketpair()
    second = green.Watch(also.fileno())
    try:
        nothing_there(mine, watch)
        second.ready = False
        assert not green.any_ready([watch, second], 0.01)
        green.spawn(far.send, b'x')
        assert green.any_ready([watch, second], 5)
        assert second.ready and not watch.ready
    finally:
        second.close()
        also.close()
        far.close()


def test_who_has_but_the_number_of_a_watched_socket_waits_as_ever(pair):
    mine, other, _ = pair
    with green.timeout(5):
        for word in (b'there already', b'to come'):
            if word == b'to come':
                green.spawn(other.send, word)
            else:
                other.send(word)
            green.readable(mine.fileno())
            assert mine.recv(100) == word
        green.writable(mine.fileno())


def test_two_greenlets_cannot_wait_for_one_socket(pair):
    mine, other, watch = pair
    nothing_there(mine, watch)
    first = green.spawn(watch.read)
    green.sleep(0)
    with pytest.raises(RuntimeError, match='two greenlets'):
        watch.read()
    other.send(b'x')
    first.wait(5)


def test_a_closed_watch_leaves_its_number_to_others(pair):
    mine, other, watch = pair
    watch.close()
    watch.close()
    green.spawn(other.send, b'x')
    with green.timeout(5):
        green.readable(mine.fileno())
    successor = green.Watch(mine.fileno())
    watch.close()      # it is no more the one that is known by the number
    assert mine.recv(100) == b'x'
    nothing_there(mine, successor)
    green.spawn(other.send, b'y')
    with green.timeout(5):
        successor.read()
    successor.close()


# -- turns

def test_a_turn_lets_those_run_who_can_and_those_for_whom_something_has_come(pair):
    green.turn()      # wherever in its round the hub was: from here it begins with those that are spawned
    mine, other, watch = pair
    seen = []

    def reads():
        nothing_there(mine, watch)
        watch.read()
        seen.append(mine.recv(100))
    green.spawn(reads)
    green.turn()
    green.spawn(seen.append, 'spawned')
    other.send(b'x')
    green.turn()
    assert sorted(seen, key=str) == [b'x', 'spawned']


def test_turns_come_in_their_order_and_not_to_the_dead():
    green.turn()      # as above
    seen = []

    def takes(number):
        seen.append(number)
        green.turn()
        seen.append(number + 10)
    workers = [green.spawn(takes, number) for number in range(3)]
    green.turn()
    workers[1].kill()
    for worker in workers:
        worker.join()
    assert seen == [0, 1, 2, 10, 12]


def test_who_gives_turns_for_ever_stops_nobody():
    over = []

    def loops():
        while not over:
            green.turn()
    worker = green.spawn(loops)
    green.sleep(0.01)
    over.append(True)
    worker.join()
    assert worker.dead


def test_who_pauses_goes_on_when_he_is_told_to():
    green.turn()      # as above
    cells, seen = [], []

    def pauses(number):
        green.pause(cells)
        seen.append(number)
    workers = [green.spawn(pauses, number) for number in range(3)]
    green.turn()
    workers[1].kill()
    green.turn()
    assert not seen
    green.resume(cells)
    green.turn()
    assert seen == [0, 2] and not cells
