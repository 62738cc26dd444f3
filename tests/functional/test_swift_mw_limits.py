"""So many requests a second: of accounts and containers before the proxy, of devices on a storage server."""

import time

import pytest

from strata import errors, green
from swift.http import Response
from swift.middleware import backend_ratelimit, memcached, ratelimit
from tests.functional.swift_filters import Cached, Recorder, ask


def limited(objects=0, setting=None, cache=None, **conf):
    account = {'X-Account-Sysmeta-Global-Write-Ratelimit': setting} if setting else {}
    app = Recorder({'HEAD /v1/AUTH_a': Response(204, b'', account),
                    'HEAD /v1/AUTH_a/c': Response(204, b'', {'X-Container-Object-Count': str(objects)})})
    return Cached(ratelimit.filter_factory({}, **{'rate_buffer_seconds': '0', **conf})(app), cache), app


def took(action, times):
    began = time.monotonic()
    answers = [action() for _ in range(times)]
    return time.monotonic() - began, answers


def test_containers_are_made_at_the_accounts_rate():
    app, _ = limited(account_ratelimit='40')
    seconds, answers = took(lambda: ask(app, '/v1/AUTH_a/c', 'PUT').status, 9)
    assert answers == [200] * 9 and seconds >= 7 / 40


def test_what_has_another_rate_or_none_does_not_wait():
    app, _ = limited(account_ratelimit='0.01')
    asked = [('/v1/AUTH_a/c', 'PUT'), *[('/v1/AUTH_a/c', 'GET')] * 20, *[('/v1/AUTH_a/c/o', 'PUT')] * 20,
             ('/v1/AUTH_b/c', 'PUT')]
    with green.timeout(30):
        assert [ask(app, *each).status for each in asked] == [200] * 42


def test_who_would_wait_too_long_is_told_so_and_takes_no_turn():
    app, inner = limited(account_ratelimit='0.01', max_sleep_time_seconds='0.2')
    answers = [ask(app, '/v1/AUTH_a/c', 'PUT') for _ in range(5)]
    assert answers[0].status == 200
    assert [answer.status for answer in answers[1:]] == [498] * 4
    assert answers[-1].body == b'Slow down'
    end = app.cache.get('ratelimit/AUTH_a')
    assert ask(app, '/v1/AUTH_a/c', 'PUT').status == 498
    assert app.cache.get('ratelimit/AUTH_a') == end


@pytest.mark.parametrize('size, rate', [(0, 100), (5, 75), (10, 50), (30, 35), (50, 20), (1000, 20)])
def test_the_rate_falls_as_a_container_grows(size, rate):
    given = ratelimit.rates({'container_ratelimit_50': '20', 'container_ratelimit_0': '100',
                             'container_ratelimit_10': '50', 'other': 'x'}, 'container_ratelimit_')
    assert ratelimit.rate_for(size, given) == rate
    assert ratelimit.rate_for(size, []) is None
    assert ratelimit.rate_for(1, [(2, 5.0)]) is None


def test_writes_and_listings_of_a_container_have_rates_of_their_own():
    app, _ = limited(30, container_ratelimit_0='1000', container_ratelimit_20='40', container_listing_ratelimit_0='40')
    for path, method in (('/v1/AUTH_a/c/o', 'PUT'), ('/v1/AUTH_a/c', 'GET')):
        seconds, answers = took(lambda path=path, method=method: ask(app, path, method).status, 7)
        assert answers == [200] * 7 and seconds >= 5 / 40
    app, _ = limited(30, container_ratelimit_20='0.01')
    with green.timeout(30):
        assert [ask(app, '/v1/AUTH_a/c/o').status for _ in range(20)] == [200] * 20


def test_accounts_may_be_exempt_or_shut_out(monkeypatch):
    monkeypatch.setattr(ratelimit, 'PENALTY', 0.01)
    for conf, setting, status in (({'account_whitelist': 'AUTH_a'}, None, 200), ({}, 'WHITELIST', 200),
                                  ({'account_blacklist': 'AUTH_x, AUTH_a'}, None, 497), ({}, 'BLACKLIST', 497)):
        app, _ = limited(setting=setting, account_ratelimit='1', max_sleep_time_seconds='0', **conf)
        answers = [ask(app, '/v1/AUTH_a/c', 'PUT') for _ in range(3)]
        assert [answer.status for answer in answers] == [status] * 3
    assert answers[0].body == b'Your account has been blacklisted'


def test_an_account_may_have_a_rate_of_its_own():
    app, _ = limited(setting='0.01', max_sleep_time_seconds='0')
    assert [ask(app, '/v1/AUTH_a/c/o', 'PUT').status for _ in range(3)] == [200, 498, 498]
    app, _ = limited(setting='nonsense', max_sleep_time_seconds='0')
    assert [ask(app, '/v1/AUTH_a/c/o', 'PUT').status for _ in range(3)] == [200] * 3


def test_a_request_is_counted_once_and_without_a_cache_not_at_all():
    inner, _ = limited(account_ratelimit='0.01', max_sleep_time_seconds='0')
    conf = {'account_ratelimit': '0.01', 'max_sleep_time_seconds': '0', 'rate_buffer_seconds': '0'}
    twice = Cached(ratelimit.filter_factory({}, **conf)(inner.app), inner.cache)
    assert [ask(twice, '/v1/AUTH_a/c', 'PUT').status for _ in range(2)] == [200, 498]
    assert [ask(inner.app, '/v1/AUTH_a/c', 'PUT').status for _ in range(3)] == [200] * 3    # there is no cache

    class Away:
        def get(self, *args, **more):
            return None

        set = delete = get

        def incr(self, *args, **more):
            raise memcached.CacheUnavailable('x')
    app, _ = limited(cache=Away(), account_ratelimit='1', max_sleep_time_seconds='0')
    assert [ask(app, '/v1/AUTH_a/c', 'PUT').status for _ in range(3)] == [200] * 3


def test_unused_turns_can_be_caught_up_to_a_bound():
    for behind, at_once in ((800_000, 9), (5_000_000, 1)):
        app, _ = limited(account_ratelimit='0.01', rate_buffer_seconds='1000', max_sleep_time_seconds='0')
        app.cache.set('ratelimit/AUTH_a', round(time.time() * 1000) - behind)
        answers = [ask(app, '/v1/AUTH_a/c', 'PUT').status for _ in range(20)]
        assert answers[:at_once - 1] == [200] * (at_once - 1) and answers[at_once + 1:] == [498] * (19 - at_once)


@pytest.mark.parametrize('name, value', [('container_ratelimit_x', '1'), ('container_ratelimit_0', 'fast'),
                                         ('account_ratelimit', '-1'), ('container_listing_ratelimit_5', 'nan')])
def test_a_wrong_option_is_refused_by_name(name, value):
    with pytest.raises(errors.Invalid, match=name):
        ratelimit.filter_factory({}, **{name: value})


class Watch:
    now = 1000.0

    def __call__(self):
        return self.now


def backend(tmp_path, **conf):
    watch = Watch()
    options = {'swift_dir': str(tmp_path), **conf}
    made = backend_ratelimit.filter_factory({}, **options)(Recorder())
    made._monotonic = watch
    watch.app = backend_ratelimit.BackendRateLimit(Recorder(), made._conf, options, monotonic=watch)
    return watch


def statuses(watch, path, times, method='GET'):
    return [ask(watch.app, path, method).status for _ in range(times)]


def test_a_device_takes_so_many_requests_and_then_529(tmp_path):
    watch = backend(tmp_path, requests_per_device_per_second='3')
    assert statuses(watch, '/sda1/5/a/c/o', 5) == [200, 200, 200, 529, 529]
    assert statuses(watch, '/sdb1/5/a/c/o', 2, 'PUT') == [200, 200]
    watch.now += 1 / 3 + 0.001
    assert statuses(watch, '/sda1/6/a', 2) == [200, 529]
    watch.now += 100
    assert statuses(watch, '/sda1/6/a', 5) == [200, 200, 200, 529, 529]
    assert statuses(watch, '/recon/version', 9) + statuses(watch, '/healthcheck', 9) == [200] * 18


def test_a_method_may_have_a_rate_and_a_burst_of_its_own(tmp_path):
    watch = backend(tmp_path, put_requests_per_device_per_second='1', requests_per_device_rate_buffer='2')
    assert statuses(watch, '/sda1/5/a/c/o', 4, 'PUT') == [200, 200, 529, 529]
    assert statuses(watch, '/sda1/5/a/c/o', 9) == [200] * 9
    assert statuses(backend(tmp_path), '/sda1/5/a/c/o', 99) == [200] * 99


def test_rates_are_read_again_while_the_server_runs(tmp_path):
    file = tmp_path / 'backend-ratelimit.conf'
    file.write_text('[backend_ratelimit]\nrequests_per_device_per_second = 1\n')
    watch = backend(tmp_path, requests_per_device_per_second='50', config_reload_interval='60')
    assert statuses(watch, '/sda1/5/a', 2) == [200, 529]
    file.write_text('[backend_ratelimit]\nrequests_per_device_per_second = 20\n')
    assert statuses(watch, '/sda1/5/a', 1) == [529]
    watch.now += 61
    assert statuses(watch, '/sda1/5/a', 19) == [200] * 19
    file.write_text('[backend_ratelimit]\nrequests_per_device_per_second = many\n')
    watch.now += 61
    assert statuses(watch, '/sda1/5/a', 19) == [200] * 19
