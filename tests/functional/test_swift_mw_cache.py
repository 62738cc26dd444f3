"""swift.cache: in this process, and in memcached, by one set of rules."""

import datetime
import hashlib
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from strata import errors, green
from strata.testing.ports import free_port
from strata.testing.wait import until
from swift.middleware import cache, memcached
from tests.functional.swift_filters import Recorder, ask


class Memcached:
    """A real one on a port of its own."""

    def __init__(self, *words):
        self.port = free_port()
        self.name = f'127.0.0.1:{self.port}'
        self.words = words
        self.start()

    def start(self):
        argv = ['memcached', '-l', '127.0.0.1', '-p', str(self.port), '-m', '8', '-U', '0', *self.words]
        self.process = subprocess.Popen(argv + (['-u', 'nobody'] if os.getuid() == 0 else []))
        until(self.answers, 10, message='memcached does not start')

    def answers(self):
        try:
            socket.create_connection(('127.0.0.1', self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.kill()
        self.process.wait()

    def said(self, command):
        with socket.create_connection(('127.0.0.1', self.port), 5) as connection:
            connection.sendall(command)
            return connection.recv(65536)


@pytest.fixture
def servers():
    if shutil.which('memcached') is None:
        if os.environ.get('CI') == 'true':
            pytest.fail('memcached is not installed')
        pytest.skip('memcached is not installed')
    started = [Memcached(), Memcached()]
    yield started
    for each in started:
        each.stop()


def ring(*servers, **conf):
    return memcached.Ring(cache.options({'memcache_servers': ','.join(each.name for each in servers), **conf}))


@pytest.fixture(params=['local', 'memcached'])
def store(request):
    if request.param == 'local':
        return cache.Local()
    return ring(*request.getfixturevalue('servers'))


@pytest.mark.parametrize('value', [{'a': [1, 'é', None]}, [1.5, 'x'], 'text é', 7, True, None, {}])
def test_a_value_comes_back(store, value):
    store.set('account/AUTH_é', value)
    assert store.get('account/AUTH_é') == value


def test_what_is_not_there_is_none(store):
    assert store.get('nothing') is None
    store.set('a', 1)
    store.delete('a')
    store.delete('nothing')
    assert store.get('a') is None


def test_a_value_ends_with_its_time(store):
    store.set('a', 'x', time=1)
    store.set('b', 'x', time=40 * 24 * 3600)
    until(lambda: store.get('a') is None, 5)
    assert store.get('b') == 'x'


def test_what_one_reader_changes_no_other_sees(store):
    store.set('a', {'list': [1]})
    store.get('a')['list'].append(2)
    assert store.get('a') == {'list': [1]}


def test_numbers_count_up_and_not_below_zero(store):
    assert [store.incr('n', 5), store.incr('n'), store.decr('n', 2), store.incr('n', -9)] == [5, 6, 4, 0]
    assert store.decr('m') == 0
    assert store.get('n') == 0


def test_several_values_travel_together(store):
    store.set_multi({'a': 1, 'b': {'c': 2}}, 'somewhere')
    assert store.get_multi(['b', 'nothing', 'a'], 'somewhere') == [{'c': 2}, None, 1]


def test_a_cache_in_this_process_is_bounded():
    store = cache.Local(size=3)
    for number in range(10):
        store.set(f'k{number}', number)
    assert [store.get(f'k{number}') for number in range(10)] == [None] * 7 + [7, 8, 9]


def test_the_filter_gives_all_requests_one_cache():
    app = Recorder()
    filtered = cache.filter_factory({'swift_dir': '/nowhere'})(app)
    ask(filtered, '/a')
    app.last['swift.cache'].set('k', 'v')
    ask(filtered, '/b')
    assert app.last['swift.cache'].get('k') == 'v'


def test_memcache_conf_counts_where_the_filter_says_nothing(tmp_path):
    (tmp_path / 'memcache.conf').write_text('[memcache]\nmemcache_servers = 10.0.0.1:1, [::1]:2\ntries = 1\n')
    conf = cache.options({'swift_dir': str(tmp_path)})
    assert (conf.memcache_servers, conf.tries) == (['10.0.0.1:1', '[::1]:2'], 1)
    assert cache.options({'swift_dir': str(tmp_path), 'memcache_servers': 'a:3'}).memcache_servers == ['a:3']
    with pytest.raises(errors.Invalid):
        memcached.Ring(cache.options({'memcache_servers': 'host:port'}))


def test_values_travel_in_the_published_form(servers):
    store = ring(servers[0])
    store.set('account/a', {'x': 1})
    # md5 of the key, the flag of JSON
    found = servers[0].said(b'get %s\r\n' % hashlib.md5(b'account/a').hexdigest().encode())
    head, body = found.split(b'\r\n')[:2]
    assert head.split()[2:] == [b'2', str(len(body)).encode()]
    assert json.loads(body) == {'x': 1}


@pytest.mark.parametrize('flags, value', [(1, b'cos\nsystem\n(S"false"\ntR.'), (2, b'{not json'), (0, b'text'),
                                          (16, b'1')])
def test_a_pickle_is_not_read(servers, flags, value):
    store = ring(servers[0])
    key = hashlib.md5(b'k').hexdigest().encode()
    servers[0].said(b'set %s %d 0 %d\r\n%s\r\n' % (key, flags, len(value), value))
    assert store.get('k') is None


def test_what_was_read_is_believed_for_a_moment_without_asking(servers):
    one, other = ring(servers[0], local_seconds='3600'), ring(servers[0])
    one.set('k', {'a': 1})
    assert one.get('k') == {'a': 1}
    asked = servers[0].said(b'stats\r\n').partition(b'cmd_get ')[2].split()[0]
    assert [one.get('k') for _ in range(10)] == [{'a': 1}] * 10
    assert servers[0].said(b'stats\r\n').partition(b'cmd_get ')[2].split()[0] == asked
    other.set('k', {'a': 2})
    assert one.get('k') == {'a': 1}


def test_what_another_process_changes_is_seen_when_the_moment_is_over(servers):
    one, other = ring(servers[0], local_seconds='0.05'), ring(servers[0])
    one.set('k', 'old')
    assert one.get('k') == 'old'
    other.set('k', 'new')
    until(lambda: one.get('k') == 'new', 5)
    other.delete('k')
    until(lambda: one.get('k') is None, 5)


def test_what_this_process_changes_it_sees_at_once(servers):
    store = ring(servers[0], local_seconds='3600')
    for value in ('a', {'b': 1}, ['c']):
        store.set('k', value)
        assert store.get('k') == store.get('k') == value
    store.delete('k')
    assert store.get('k') is None


def test_numbers_are_never_believed_without_asking(servers):
    one, other = ring(servers[0], local_seconds='3600'), ring(servers[0])
    one.incr('n')
    assert one.get('n') == 1
    other.incr('n')
    assert one.get('n') == 2


def test_nothing_is_believed_where_the_operator_says_so(servers):
    one, other = ring(servers[0], local_seconds='0'), ring(servers[0])
    one.set('k', 'old')
    assert one.get('k') == 'old'
    other.set('k', 'new')
    assert one.get('k') == 'new'


def test_another_server_takes_over_and_a_failing_one_is_left_alone(servers):
    store = ring(*servers, connect_timeout='1', error_suppression_limit='3', error_suppression_interval='60')
    servers[0].stop()
    for number in range(30):
        store.set(f'k{number}', number)
    assert [store.get(f'k{number}') for number in range(30)] == list(range(30))
    assert [each.limited for each in store._servers] == [True, False]


def test_without_any_server_the_cache_is_empty(servers):
    store = ring(*servers)
    for each in servers:
        each.stop()
    store.set('k', 1)
    assert store.get('k') is None and store.get_multi(['k'], 's') == [None]
    store.delete('k')
    for action in (lambda: store.incr('k'), lambda: store.get('k', raise_on_error=True),
                   lambda: store.set('k', 1, raise_on_error=True)):
        with pytest.raises(memcached.CacheUnavailable):
            action()


def test_connections_are_bounded_and_waited_for(servers):
    store = ring(servers[0], memcache_max_connections='1', pool_timeout='0.05')
    [server] = store._servers
    with server.connection() as client:
        assert client.get('x') is None
        began = time.monotonic()
        assert store.get('k') is None
        assert time.monotonic() - began >= 0.04
    store.set('k', 1)
    assert store.get('k') == 1


def test_a_server_that_does_not_answer_costs_its_time_only():
    with socket.socket() as silent:
        silent.bind(('127.0.0.1', 0))
        silent.listen()
        store = memcached.Ring(cache.options({'memcache_servers': f'127.0.0.1:{silent.getsockname()[1]}',
                                              'io_timeout': '0.05'}))

        def seconds():
            began = time.monotonic()
            assert store.get('k') is None
            return time.monotonic() - began
        assert min(seconds() for _ in range(3)) < 1      # else two; the machine may have paused in one of them


class Authority:
    """Somebody who signs certificates, in files."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), _named('authority')
        self.certificate = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.cafile = self._write('ca.pem', self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name, key, extension):
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(
            key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
            now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1)).add_extension(
            extension, critical=True).sign(self.key, hashes.SHA256())

    def _write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def issue(self, name):
        """Files of a certificate for 127.0.0.1, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address('127.0.0.1'))])
        certificate = self._sign(_named(name), key, address)
        return (self._write(f'{name}.pem', certificate.public_bytes(serialization.Encoding.PEM)),
                self._write(f'{name}.key', key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())))


def _named(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@pytest.fixture
def authority(tmp_path, servers):
    told = subprocess.run(['memcached', '--help'], capture_output=True, text=True).stdout
    if '--enable-ssl' not in told:
        pytest.skip('this memcached speaks no TLS')
    return Authority(tmp_path / 'authority')


@pytest.fixture
def secret(authority):
    """A memcached that wants TLS, and certificates of its clients."""
    certificate, key = authority.issue('server')
    made = Memcached('-Z', '-o', f'ssl_chain_cert={certificate},ssl_key={key},ssl_verify_mode=2,'
                                 f'ssl_ca_cert={authority.cafile}')
    yield made
    made.stop()


def test_memcached_is_spoken_to_by_tls(secret, authority):
    certificate, key = authority.issue('client')
    store = ring(secret, tls_enabled='true', tls_cafile=authority.cafile, tls_certfile=certificate, tls_keyfile=key,
                 local_seconds='0')
    store.set('k', {'long': 'x' * 100_000}, raise_on_error=True)
    assert store.get('k', raise_on_error=True) == {'long': 'x' * 100_000}
    store.set_multi({'a': 1, 'b': [2]}, 's')
    assert store.get_multi(['a', 'b'], 's') == [1, [2]]
    assert store.incr('n', 5) == 5
    assert green.Pool(8).map(lambda _: store.get('k') is not None, range(32)) == [True] * 32


def test_whoever_is_not_trusted_is_told_nothing(secret, authority, tmp_path):
    other = Authority(tmp_path / 'other')
    certificate, key = authority.issue('client')
    for conf in ({'tls_cafile': other.cafile, 'tls_certfile': certificate, 'tls_keyfile': key},     # not our server
                 {'tls_cafile': authority.cafile}):                                                 # not its client
        store = ring(secret, tls_enabled='true', **conf)
        with pytest.raises(memcached.CacheUnavailable):
            store.set('k', 1, raise_on_error=True)
        assert store.get('k') is None
    with pytest.raises(errors.Invalid, match='tls_cafile'):
        ring(secret, tls_enabled='true', tls_cafile=str(tmp_path / 'none'))
