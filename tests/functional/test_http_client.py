"""The client of other services: what is tried again, what is not, and what failures become."""

import socket

import pytest

from strata import context as contexts
from strata import errors, http
from strata.testing.web import serving


class Peer:
    """Answers what it is told to, in turn; keeps what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.seen = []

    def __call__(self, environ, start_response):
        self.seen.append((environ, environ['wsgi.input'].read()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        start_response(status, [('Set-Cookie', 'session=1'), ('Location', 'http://elsewhere/')])
        return [b'{"a": 1}']


@pytest.fixture
def serve():
    running = []

    def make(*answers):
        peer = Peer(*answers)
        context = serving(peer)
        server = context.__enter__()
        running.append(context)
        return peer, f'http://127.0.0.1:{server.port}/x'
    yield make
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(http, 'BACKOFF', 0.001)
    with_service = http.Client(service='Glance', retries=2, timeout=5)
    yield with_service
    with_service.close()


def test_a_request_carries_token_json_and_the_request_id(serve, client):
    peer, url = serve('200 OK')
    contexts.CURRENT.set(context := contexts.Context())
    try:
        response = client.request('POST', url, token='t', json={'é': 1}, params={'q': 'a b'},
                                  headers={'X-A': 'b'})
        context.global_request_id = contexts.new_request_id()
        client.request('GET', url)
    finally:
        contexts.CURRENT.set(None)
    assert response.json() == {'a': 1}
    environ, body = peer.seen[0]
    assert (environ['HTTP_X_AUTH_TOKEN'], environ['HTTP_X_A'], environ['QUERY_STRING']) == ('t', 'b', 'q=a+b')
    assert (environ['CONTENT_TYPE'], body) == ('application/json', '{"é":1}'.encode())
    assert environ['HTTP_X_OPENSTACK_REQUEST_ID'] == context.request_id
    assert peer.seen[1][0]['HTTP_X_OPENSTACK_REQUEST_ID'] == context.global_request_id


@pytest.mark.parametrize('status', ['200 OK', '204 No Content', '302 Found', '400 No', '401 No', '404 No',
                                    '409 No', '501 No'])
def test_answers_are_the_callers_to_judge_and_redirects_are_not_followed(serve, client, status):
    peer, url = serve(status)
    assert client.request('GET', url).status_code == int(status[:3])
    assert len(peer.seen) == 1


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'DELETE'])
def test_what_may_be_repeated_is_tried_again(serve, client, method):
    peer, url = serve('503 Busy', '502 Bad', '200 OK')
    assert client.request(method, url).status_code == 200
    assert len(peer.seen) == 3


@pytest.mark.parametrize('status, error', [
    ('503 Busy', errors.Unavailable), ('502 Bad', errors.BadGateway),
    ('500 Broken', errors.BadGateway), ('504 Late', errors.BadGateway)])
def test_failures_are_ours_to_name(serve, client, status, error):
    peer, url = serve(status)
    with pytest.raises(error, match='Glance'):
        client.request('GET', url)
    assert len(peer.seen) == (1 if status.startswith('500') else 3)


def test_a_post_is_sent_once_unless_the_caller_knows_better(serve, client):
    peer, url = serve('503 Busy', '200 OK')
    with pytest.raises(errors.Unavailable):
        client.request('POST', url)
    assert len(peer.seen) == 1
    peer.answers = ['503 Busy', '200 OK']
    assert client.request('POST', url, idempotent=True).status_code == 200


def test_a_stream_is_sent_in_chunks_and_never_again(serve, client):
    peer, url = serve('200 OK')
    client.request('PUT', url, data=iter([b'one', b'two']))
    environ, body = peer.seen[0]
    assert (environ['HTTP_TRANSFER_ENCODING'], body) == ('chunked', b'onetwo')
    peer.answers = ['503 Busy']
    with pytest.raises(errors.Unavailable):
        client.request('PUT', url, data=iter([b'one']))
    assert len(peer.seen) == 2


def test_no_cookie_is_carried_on(serve, client):
    peer, url = serve('200 OK')
    client.request('GET', url)
    client.request('GET', url)
    assert 'HTTP_COOKIE' not in peer.seen[1][0]


def test_a_peer_that_is_not_there_is_unavailable(client):
    with pytest.raises(errors.Unavailable, match='Keystone'):
        client.request('POST', 'http://127.0.0.1:1/', service='Keystone')


def test_a_silent_peer_is_a_timeout_and_one_that_hangs_up_unavailable():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        client = http.Client(service='Glance', retries=0, timeout=0.1)
        with pytest.raises(errors.Timeout, match='Glance'):
            client.request('GET', f'http://127.0.0.1:{listener.getsockname()[1]}/')
    with socket.socket() as listener:
        from strata import green
        listener.bind(('127.0.0.1', 0))
        listener.listen()

        def hang_up():
            listener.accept()[0].close()
        green.spawn(hang_up)
        client = http.Client(service='Glance', retries=0)
        with pytest.raises(errors.Unavailable):
            client.request('GET', f'http://127.0.0.1:{listener.getsockname()[1]}/')


def test_a_streamed_answer_is_read_as_the_caller_goes(serve, client):
    _, url = serve('200 OK')
    with client.request('GET', url, stream=True) as response:
        assert b''.join(response.iter_content(3)) == b'{"a": 1}'
