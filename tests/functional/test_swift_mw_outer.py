"""The outer filters: healthcheck, catch_errors, gatekeeper."""

import re

import pytest

from swift.http import Response
from swift.middleware import bodies, catch_errors, gatekeeper, healthcheck
from tests.functional.swift_filters import Recorder, ask


def test_healthcheck_answers_without_the_proxy(tmp_path):
    app = Recorder()
    filtered = healthcheck.filter_factory({})(app)
    answer = ask(filtered, '/healthcheck')
    assert (answer.status, answer.body, answer.headers['content-type']) == (200, b'OK', 'text/plain')
    assert not app.calls
    assert ask(filtered, '/healthcheck/').status == 200 and len(app.calls) == 1


def test_a_file_takes_a_node_out_of_the_balancer(tmp_path):
    filtered = healthcheck.filter_factory({}, disable_path=str(tmp_path / 'off'))(Recorder())
    assert ask(filtered, '/healthcheck').status == 200
    (tmp_path / 'off').touch()
    answer = ask(filtered, '/healthcheck')
    assert (answer.status, answer.body) == (503, b'DISABLED BY FILE')
    (tmp_path / 'off').unlink()
    assert ask(filtered, '/healthcheck').status == 200


def catching(app, **conf):
    return catch_errors.filter_factory({}, **conf)(app)


def test_each_request_has_a_transaction_id_of_its_own():
    app = Recorder()
    filtered = catching(app)
    one, two = ask(filtered, '/a'), ask(filtered, '/a')
    assert re.fullmatch(r'tx[0-9a-f]{21}-[0-9a-f]{10}', one.headers['x-trans-id'])
    assert one.headers['x-trans-id'] == one.headers['x-openstack-request-id'] == app.calls[0]['swift.trans_id']
    assert one.headers['x-trans-id'] != two.headers['x-trans-id']


def test_a_cluster_and_a_client_may_add_to_the_transaction_id():
    filtered = catching(Recorder(), trans_id_suffix='-dfw 1')
    answer = ask(filtered, '/a', headers={'X-Trans-Id-Extra': 'x' * 31 + '\xe9yz'})
    assert re.fullmatch(r'tx[0-9a-f]{21}-[0-9a-f]{10}-dfw%201-x{31}%E9', answer.headers['x-trans-id'])


def test_what_nobody_catches_is_a_500():
    def broken(environ, start_response):
        raise RuntimeError('secret')

    def late(environ, start_response):
        raise RuntimeError('secret')
        yield b''
    for app in (broken, late):
        answer = ask(catching(app), '/a')
        assert (answer.status, answer.body) == (500, b'An error occurred')
        assert answer.headers['x-trans-id'].startswith('tx')


@pytest.mark.parametrize('pieces, sent', [([b'abc'], b'abc'), ([b'ab', b'cdef'], b'abc')])
def test_a_body_longer_or_shorter_than_announced_breaks_off(pieces, sent):
    def app(environ, start_response):
        start_response('200 OK', [('Content-Length', '4' if len(pieces) == 1 else '3')])
        return pieces
    got = []
    with pytest.raises(bodies.BadLength):
        for piece in catching(app)(ask_environ(), lambda *said: None):
            got.append(piece)
    assert b''.join(got) == sent


def ask_environ(method='GET'):
    return {'REQUEST_METHOD': method, 'PATH_INFO': '/a'}


def test_the_answer_to_a_head_may_announce_a_body():
    answer = ask(catching(Recorder({'/a': Response(200, b'abc')})), '/a', 'HEAD')
    assert (answer.headers['content-length'], answer.body) == ('3', b'')


def test_a_body_is_closed():
    closed = []

    class Stream:
        def __iter__(self):
            return iter([b'abc'])

        def close(self):
            closed.append(True)
    app = Recorder({'/a': Response(200, Stream(), {'Content-Length': '3'})})
    assert ask(catching(app), '/a').body == b'abc'
    assert closed


OWN = ['X-Account-Sysmeta-A', 'X-Container-Sysmeta-A', 'X-Object-Sysmeta-A', 'X-Object-Transient-Sysmeta-A',
       'X-Backend-Replication', 'X-BACKEND-STORAGE-POLICY-INDEX']


def test_headers_of_the_system_come_neither_in_nor_out():
    app = Recorder({'/a': Response(200, b'', [*((name, 'x') for name in OWN), ('X-Object-Meta-A', 'b')])})
    filtered = gatekeeper.filter_factory({})(app)
    answer = ask(filtered, '/a', headers={**dict.fromkeys(OWN, 'x'), 'X-Object-Meta-B': 'c'})
    assert [key for key in app.last if key.startswith('HTTP_X_')] == ['HTTP_X_OBJECT_META_B']
    assert [name for name in answer.headers if name.startswith('x-')] == ['x-object-meta-a']


def test_the_time_of_a_change_is_not_for_clients_to_say():
    app = Recorder()
    ask(gatekeeper.filter_factory({})(app), '/a', headers={'X-Timestamp': '1'})
    assert 'HTTP_X_TIMESTAMP' not in app.last
    assert app.last['HTTP_X_BACKEND_INBOUND_X_TIMESTAMP'] == '1'
    ask(gatekeeper.filter_factory({}, shunt_inbound_x_timestamp='false')(app), '/a', headers={'X-Timestamp': '1'})
    assert app.last['HTTP_X_TIMESTAMP'] == '1'


def test_reserved_names_open_where_the_operator_allows_it():
    app = Recorder()
    headers = {'X-Allow-Reserved-Names': 'true'}
    ask(gatekeeper.filter_factory({})(app), '/a', headers=headers)
    assert 'HTTP_X_BACKEND_ALLOW_RESERVED_NAMES' not in app.last
    ask(gatekeeper.filter_factory({}, allow_reserved_names_header='yes')(app), '/a', headers=headers)
    assert app.last['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] == 'true'
