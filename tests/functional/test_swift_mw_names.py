"""Filters about names: name_check, domain_remap, cname_lookup, crossdomain, read_only."""

import socket
import struct

import pytest

from strata import errors, green
from swift.http import Response
from swift.middleware import cname_lookup, crossdomain, domain_remap, name_check, read_only
from tests.functional.swift_filters import Cached, Recorder, ask

REGEXP = r'/\./|/\.\./|/\.$|/\.\.$'


@pytest.mark.parametrize('path, status, why', [
    ('/v1/a/c/o', 200, ''), ('/v1/a/c/a%3Cb', 400, 'forbidden chars from \'"`<>'),
    ('/v1/a/c%60', 400, 'forbidden chars'),
    ('/info%3C', 400, 'forbidden chars'), ('/v1/a/' + 'c' * 249, 200, ''), ('/v1/a/' + 'c' * 250, 400, 'maximum 255'),
    ('/v1/a/' + '%C3%A9' * 249, 200, ''), ('/v1/a/c/./x', 400, f'regular expression {REGEXP}'),
    ('/v1/a/c/..', 400, 'forbidden substring'), ('/v1/a/c/../x', 400, 'forbidden substring'), ('/v1/a/c/x.', 200, ''),
    ('/v1/a/c/%FF', 412, 'Invalid UTF8')])
def test_unwanted_names_are_refused(path, status, why):
    answer = ask(name_check.filter_factory({})(Recorder()), path)
    assert answer.status == status and why in answer.body.decode()


def test_what_is_unwanted_is_for_the_operator_to_say():
    app = name_check.filter_factory({}, forbidden_chars='#', maximum_length='20', forbidden_regexp='')(Recorder())
    assert [ask(app, path).status for path in ('/v1/a/%3C', '/v1/a/%23', '/v1/a/./x', '/v1/' + 'a' * 20)] == \
        [200, 400, 200, 400]
    with pytest.raises(errors.Invalid):
        name_check.filter_factory({}, forbidden_regexp='(')(Recorder())


#: host, path -> what the published filter made of it
REMAPPED = {
    ('c.AUTH_a.example.com', '/'): '/v1/AUTH_a/c/', ('c.AUTH_a.example.com', '/o/p'): '/v1/AUTH_a/c/o/p',
    ('c.AUTH_a.example.com', '/v1/o'): '/v1/AUTH_a/c/v1/o', ('AUTH_a.example.com', '/'): '/v1/AUTH_a/',
    ('AUTH_a.example.com', '/c/o'): '/v1/AUTH_a/c/o', ('auth-a.example.com', '/c'): '/v1/AUTH_a/c',
    ('c.auth_a.example.com:8080', '/o'): '/v1/AUTH_a/c/o', ('auth-a-b.example.com', '/c'): '/v1/AUTH_a-b/c',
    ('.AUTH_a.example.com', '/c'): '/v1/AUTH_a/c', ('foo.example.com', '/c'): '/c', ('FOO_x.example.com', '/c'): '/c',
    ('example.com', '/c'): '/c', ('AUTH_a.example.org', '/c'): '/c', ('xexample.com', '/c'): '/c',
    ('C.auth-a.other.example', '/o'): '/v1/AUTH_a/C/o', ('[::1]:80', '/c'): '/c'}


@pytest.mark.parametrize('host, path', REMAPPED)
def test_a_host_name_is_an_account(host, path):
    app = Recorder()
    filtered = domain_remap.filter_factory({}, storage_domain='example.com, .other.example')(app)
    assert ask(filtered, path, headers={'Host': host}).status == 200
    assert app.last['PATH_INFO'] == REMAPPED[host, path]


@pytest.mark.parametrize('host', ['a.b.AUTH_a.example.com', 'a..AUTH_a.example.com', '..example.com'])
def test_a_host_name_with_more_in_it_is_refused(host):
    answer = ask(domain_remap.filter_factory({})(Recorder()), '/', headers={'Host': host})
    assert (answer.status, answer.body) == (400, b'Bad domain in host header')


def test_prefix_root_and_older_paths_may_be_other():
    app = Recorder()
    filtered = domain_remap.filter_factory({}, default_reseller_prefix='SVC', reseller_prefixes='AUTH, Rest',
                                           path_root='/v1.0', mangle_client_paths='true')(app)
    for host, path, found in (('x.example.com', '/c', '/v1.0/SVC_x/c'), ('rest-x.example.com', '/c', '/v1.0/Rest_x/c'),
                              ('c.AUTH_a.example.com', '/v1.0/o', '/v1.0/AUTH_a/c/o'),
                              ('c.AUTH_a.example.com', '/v1.0x/o', '/v1.0/AUTH_a/c/v1.0x/o')):
        ask(filtered, path, headers={'Host': host})
        assert app.last['PATH_INFO'] == found


class NameServer:
    """A DNS server that knows a few aliases and counts what it is asked."""

    def __init__(self, aliases):
        self.aliases, self.asked = aliases, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.address = f'127.0.0.1:{self.socket.getsockname()[1]}'
        self.greenlet = green.spawn(self.serve)

    def serve(self):
        while True:
            query, peer = self.socket.recvfrom(2048)
            self.asked += 1
            labels, position = [], 12
            while query[position]:
                labels.append(query[position + 1:position + 1 + query[position]].decode())
                position += 1 + query[position]
            question = query[12:position + 5]
            target = self.aliases.get('.'.join(labels).lower())
            head = query[:2] + struct.pack('>HHHHH', 0x8180 if target else 0x8183, 1, 1 if target else 0, 0, 0)
            data = b''.join(bytes([len(part)]) + part.encode() for part in target.split('.')) + b'\0' if target else b''
            answer = b'\xc0\x0c' + struct.pack('>HHIH', 5, 1, 300, len(data)) + data if target else b''
            self.socket.sendto(head + question + answer, peer)


@pytest.fixture
def names():
    server = NameServer({'photos.example.net': 'c.AUTH_a.example.com', 'two.example.net': 'photos.example.net',
                         'loop.example.net': 'loop.example.net', 'away.example.net': 'www.example.org'})
    yield server
    server.greenlet.kill()
    server.socket.close()


def looking_up(app, names, **conf):
    return cname_lookup.filter_factory({}, nameservers=names.address, **conf)(app)


def test_an_alias_of_ours_is_served_as_what_it_stands_for(names):
    app = Recorder()
    filtered = Cached(looking_up(app, names))
    for host, found in (('photos.example.net', 'c.auth_a.example.com'),
                        ('photos.example.net:8080', 'c.auth_a.example.com:8080'),
                        ('c.AUTH_a.example.com', 'c.AUTH_a.example.com'), ('127.0.0.1:80', '127.0.0.1:80'),
                        ('[::1]:80', '[::1]:80')):
        assert ask(filtered, '/o', headers={'Host': host}).status == 200
        assert app.last['HTTP_HOST'] == found
    assert names.asked == 1     # it is remembered


@pytest.mark.parametrize('host, depth, why', [
    ('away.example.net', '1', 'failed after 1 tries'), ('two.example.net', '1', 'failed after 1 tries'),
    ('loop.example.net', '3', 'failed after 3 tries'),
    ('nothing.example.net', '2', 'failed to resolve to a valid domain')])
def test_an_alias_of_others_is_refused(names, host, depth, why):
    answer = ask(looking_up(Recorder(), names, lookup_depth=depth), '/', headers={'Host': host})
    assert answer.status == 400 and f'CNAME lookup {why}' in answer.body.decode()


def test_an_alias_of_an_alias_is_followed(names):
    app = Recorder()
    assert ask(looking_up(app, names, lookup_depth='2'), '/', headers={'Host': 'two.example.net'}).status == 200
    assert app.last['HTTP_HOST'] == 'c.auth_a.example.com'


def test_a_nameserver_is_an_address():
    with pytest.raises(errors.Invalid, match='nameservers'):
        cname_lookup.filter_factory({}, nameservers='ns.example.com')


def test_a_policy_for_plug_ins():
    app = Recorder()
    answer = ask(crossdomain.filter_factory({})(app), '/crossdomain.xml')
    assert answer.headers['content-type'] == 'application/xml'
    assert answer.body.decode().splitlines()[2:] == [
        '<cross-domain-policy>', '<allow-access-from domain="*" secure="false" />', '</cross-domain-policy>']
    own = crossdomain.filter_factory({}, cross_domain_policy='<x />')(app)
    assert b'\n<x />\n' in ask(own, '/crossdomain.xml').body
    assert not app.calls
    ask(own, '/crossdomain.xml', 'PUT')
    ask(own, '/crossdomain.xml/')
    assert len(app.calls) == 2


def closed(everywhere='false', account=None, **conf):
    headers = {'X-Account-Sysmeta-Read-Only': account} if account else {}
    app = Recorder({'HEAD /v1/AUTH_a': Response(204, b'', headers), 'HEAD /v1/AUTH_b': Response(204, b'', {
        'X-Account-Sysmeta-Read-Only': 'true'})})
    return read_only.filter_factory({}, read_only=everywhere, **conf)(app)


def answers(app, methods=('GET', 'PUT', 'POST', 'DELETE', 'COPY'), **headers):
    return [ask(app, '/v1/AUTH_a/c/o', method, headers=headers).status for method in methods]


@pytest.mark.parametrize('everywhere, account, status', [
    ('false', None, 200), ('true', None, 405), ('false', 'true', 405), ('true', 'false', 200), ('true', 'junk', 405)])
def test_an_accounts_own_word_wins(everywhere, account, status):
    assert answers(closed(everywhere, account)) == [200, status, status, status, status]


def test_deletes_may_be_allowed():
    assert answers(closed('true', allow_deletes='true')) == [200, 405, 405, 200, 405]


def test_it_is_the_account_written_to_that_counts():
    assert answers(closed(), ('COPY', 'GET'), **{'Destination-Account': 'AUTH_b'}) == [405, 200]
    assert answers(closed(account='true'), ('COPY',), **{'Destination-Account': 'AUTH_c'}) == [200]
    assert ask(closed('true'), '/v1/AUTH_a/c/o', 'PUT').body == b'Writes are disabled for this account.'
    assert ask(closed('true'), '/info', 'PUT').status == 200
