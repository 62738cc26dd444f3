"""Objects whose time is over are deleted, once, and only if it is really over."""

import json
import time
import urllib.error
import urllib.request

import pytest

from tests.swift_cluster import Cluster


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / 'cluster') as made:
        ask(made, 'PUT', '/c')
        yield made


def ask(cluster, method, path, body=None, base=None, **headers):
    request = urllib.request.Request((base or cluster.url) + path, body, {
        name.replace('_', '-'): str(value) for name, value in headers.items()}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def queue(cluster):
    """Names of all entries that wait."""
    base = f'{cluster.base}/v1/.expiring_objects'
    status, body = ask(cluster, 'GET', '?format=json', base=base)
    names = []
    for container in json.loads(body or b'[]') if status == 200 else []:
        _, body = ask(cluster, 'GET', f'/{container["name"]}?format=json', base=base)
        names += [each['name'] for each in json.loads(body)]
    return names


def expire(cluster, **more):
    cluster.run_once('container-updater')       # the queue's containers are made by the way, and listed by it
    daemon = cluster.daemon('object-expirer', cluster.nodes[0], tasks_per_second='0', **more)
    daemon.run_once()
    return daemon


#: when objects are to go: always the same, for which expirer has an entry depends on it; far off, for a slow machine
WHEN = 4102444800


@pytest.fixture
def time_passes(monkeypatch):
    """Sets the clock to a moment after ``WHEN``."""
    def passes():
        ahead, now = WHEN + 1 - time.time(), time.time
        monkeypatch.setattr(time, 'time', lambda: now() + ahead)
    return passes


def test_an_object_is_deleted_when_its_time_is_over(cluster, time_passes):
    assert ask(cluster, 'PUT', '/c/o', b'x', X_Delete_At=WHEN)[0] == 201
    assert ask(cluster, 'PUT', '/c/later', b'x', X_Delete_At=WHEN + 1000)[0] == 201
    assert ask(cluster, 'GET', '/c/o')[0] == 200
    time_passes()
    assert ask(cluster, 'GET', '/c/o')[0] == 404       # by the clock; the file is still there
    assert 'o' in json.loads(ask(cluster, 'GET', '/c?format=json')[1])[1]['name']
    daemon = expire(cluster)
    assert daemon.expired == 1
    assert [each['name'] for each in json.loads(ask(cluster, 'GET', '/c?format=json')[1])] == ['later']
    assert [name.rpartition('/')[2] for name in queue(cluster)] == ['later']
    assert expire(cluster).expired == 0


def test_an_object_that_was_given_another_life_is_kept(cluster, time_passes):
    ask(cluster, 'PUT', '/c/o', b'old', X_Delete_At=WHEN)
    time_passes()
    assert ask(cluster, 'PUT', '/c/o', b'new')[0] == 201
    assert expire(cluster).expired == 0
    assert ask(cluster, 'GET', '/c/o') == (200, b'new')


def test_a_delay_keeps_what_a_container_has_lost(cluster, time_passes):
    ask(cluster, 'PUT', '/c/o', b'x', X_Delete_At=WHEN)
    time_passes()
    assert expire(cluster, **{'delay_reaping_AUTH_test/c': '1000'}).expired == 0
    assert expire(cluster).expired == 1


def test_several_expirers_share_the_work(cluster, time_passes):
    for number in range(8):
        assert ask(cluster, 'PUT', f'/c/o{number}', b'x', X_Delete_At=WHEN)[0] == 201
    time_passes()
    counts = [expire(cluster, processes='2', process=str(number)).expired for number in range(2)]
    assert sum(counts) == 8 and all(counts)


def test_names_are_any_text(cluster, time_passes):
    ask(cluster, 'PUT', '/c/a%2Fb%20%C3%A9-1', b'x', X_Delete_At=WHEN)
    time_passes()
    assert expire(cluster).expired == 1 and queue(cluster) == []
