"""kill -9 at every commit of nova, before and after it, in each thing that is done to a server.

One injector for all (``strata.testing.kill``): a story is told again and again,
and the process dies at its first commit, its second ... until the story is
told to its end.  The process that is started after each death has to bring
every server to rest, with nothing left over, before it is sent to its own.
"""

import json
from pathlib import Path

import pytest
import requests

from strata.testing import wait
from tests.probe.embedded import Embedded, Refused

pytestmark = [pytest.mark.probe, pytest.mark.timeout(400)]

#: the compute API answers like this to whoever speaks with a process that dies
LOST = (requests.ConnectionError, requests.Timeout, Refused)
#: "after" is the harsher of the two: less is known
TWICE = [pytest.param('before', marks=pytest.mark.slow), 'after']
#: where servers rest
AT_REST = {'ACTIVE', 'ERROR', 'SHUTOFF', 'PAUSED', 'SUSPENDED'}


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    """A cloud with nothing in it but networks."""
    made = Embedded(tmp_path_factory.mktemp('cloud'))
    try:
        with made.explained('up'):
            yield made.up()
    finally:
        made.down()


def servers(cloud):
    return cloud.member.get('compute', '/v2.1/servers/detail')['servers']


def at_rest(cloud):
    """Whether no operation is open and no server busy; ``requests.ConnectionError`` if nova is dead."""
    if not cloud.alive():
        raise requests.ConnectionError('nova is dead')
    return not cloud.holdings()['operations'] and all(
        server['OS-EXT-STS:task_state'] is None and server['status'] in AT_REST for server in servers(cloud))


def boot(cloud):
    """Ask for a server, with all that a server can leave behind."""
    return cloud.member.post('compute', '/v2.1/servers', {'server': {
        'name': 'probe', 'flavorRef': '42', 'imageRef': cloud.image['id'], 'config_drive': True,
        'networks': [{'uuid': cloud.network['id']}]}})['server']['id']


def act(cloud, id, body):
    cloud.member.post('compute', f'/v2.1/servers/{id}/action', body)
    wait.until(lambda: at_rest(cloud), 30, f'{body} is done')


def delete(cloud, id):
    cloud.member.call('DELETE', 'compute', f'/v2.1/servers/{id}', ok=(404,))
    wait.until(lambda: all(one['id'] != id for one in servers(cloud)), 30, f'server {id} is gone')


def whole(cloud, server):
    """That a server at rest has what its state says, and no more."""
    held, id = cloud.holdings(), server['id']
    ports = cloud.member.get('network', '/v2.0/ports', device_id=id)['ports']
    if server['status'] == 'ERROR':
        assert server['fault']['message'], server
        assert (ports, id in held['claims'], id in held['guests']) == ([], False, False), server
        return
    assert id in held['claims'], (server, held)
    assert id in held['guests'], (server, held)
    assert len(ports) == 1, (server, ports)
    assert ports[0]['id'] in held['taps'], (server, held)
    addresses = [each['addr'] for group in server['addresses'].values() for each in group]
    assert addresses == [each['ip_address'] for each in ports[0]['fixed_ips']]


def settle(cloud, empty):
    """After a restart: all comes to rest, is what it says it is, and can be deleted without a trace."""
    wait.until(lambda: at_rest(cloud), 40, 'everything is at rest')
    left = servers(cloud)
    for server in left:
        whole(cloud, server)
    for server in left:
        delete(cloud, server['id'])
    wait.until(lambda: same(cloud.holdings(), empty), 20, 'nothing is left')
    return [server['status'] for server in left]


def same(held, empty):
    assert held == empty
    return True


def emptied(cloud):
    """What is held when there is no server, after removing those that a failed test left."""
    cloud.start_nova()
    wait.until(lambda: at_rest(cloud), 40, 'everything is at rest')
    for server in servers(cloud):
        delete(cloud, server['id'])
    wait.until(lambda: not cloud.holdings()['guests'], 20, 'no guest is left')
    return cloud.holdings()


def dies_everywhere(cloud, prepare, story, edge):
    """Tell a story with a death at each of its commits; the states that servers had afterwards.

    ``prepare(cloud)`` makes what the story needs, undisturbed; ``story(cloud, it)`` is disturbed.
    """
    empty = emptied(cloud)
    seen, number = [], 0
    while True:
        number += 1
        with cloud.explained(number, edge, seen):
            cloud.start_nova(f'{number}:{edge}')
            seen.append(settle(cloud, empty))
            it = prepare(cloud)
            cloud.arm()
            if survives(cloud, story, it):
                cloud.start_nova()      # disarmed
                settle(cloud, empty)
                return seen[1:]


def survives(cloud, story, it):
    """Whether nova was still there at the end of a story."""
    try:
        story(cloud, it)
    except LOST + (AssertionError,):
        wait.until(lambda: not cloud.alive(), 5, 'a failure without a death')
        return False
    return cloud.alive()


def building(cloud, _):
    id = boot(cloud)
    wait.until(lambda: at_rest(cloud), 30, 'the server is built')
    wait.until(lambda: all(port['status'] == 'ACTIVE' for port in cloud.member.get(
        'network', '/v2.0/ports', device_id=id)['ports']), 30, 'its port is up')


def built(cloud):
    id = boot(cloud)
    wait.until(lambda: at_rest(cloud), 30, 'the server is built')
    return id


@pytest.mark.parametrize('edge', ['before', 'after'])
def test_a_build_survives_death_at_every_commit(cloud, edge):
    seen = dies_everywhere(cloud, lambda _: None, building, edge)
    assert len(seen) >= 8, 'the injector struck too seldom'
    assert {state for states in seen for state in states} <= {'ACTIVE', 'ERROR'}
    # nobody was asked for it twice: a build that was begun goes on
    assert sum(states == ['ACTIVE'] for states in seen) >= len(seen) - 1, seen


@pytest.mark.parametrize('edge', ['before', 'after'])
def test_a_delete_survives_death_at_every_commit(cloud, edge):
    seen = dies_everywhere(cloud, built, delete, edge)
    assert len(seen) >= 4, 'the injector struck too seldom'
    # the only server that may be there afterwards is one whose delete was never accepted
    assert sum(states == [] for states in seen) >= len(seen) - 1, seen


@pytest.mark.parametrize('edge', TWICE)
def test_the_unwinding_of_a_build_survives_death_at_every_commit(cloud, edge):
    orders = Path(cloud.settings.path('nova', 'fake-guests', 'orders.json'))
    orders.write_text(json.dumps({'spawn': {'times': 10**6, 'error': 'Unbuildable'}}))
    try:
        seen = dies_everywhere(cloud, lambda _: None, building, edge)
    finally:
        orders.unlink()
    assert len(seen) >= 12, 'the injector struck too seldom'
    assert {state for states in seen for state in states} == {'ERROR'}


def test_a_recovery_survives_death_at_every_commit(cloud):
    empty = emptied(cloud)
    cloud.start_nova('5:after')
    cloud.arm()
    assert not survives(cloud, building, None)
    for number in range(1, 12):
        with cloud.explained(number):
            cloud.start_nova(f'{number}:before', armed=True)
    with cloud.explained('at last'):
        cloud.start_nova()
        [state] = settle(cloud, empty)
        assert state in ('ACTIVE', 'ERROR')


VERBS = ({'pause': None}, {'unpause': None}, {'os-stop': None}, {'reboot': {'type': 'HARD'}},
         {'reboot': {'type': 'SOFT'}})


@pytest.mark.parametrize('edge', TWICE)
def test_verbs_survive_death_at_every_commit(cloud, edge):
    def story(cloud, id):
        for body in VERBS:
            act(cloud, id, body)
    seen = dies_everywhere(cloud, built, story, edge)
    assert len(seen) >= 3 * len(VERBS), 'the injector struck too seldom'
    assert {state for states in seen for state in states} <= {'ACTIVE', 'PAUSED', 'SHUTOFF'}, seen
