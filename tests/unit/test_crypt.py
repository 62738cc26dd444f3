"""Secrets."""

import subprocess
import sys
import time

import pytest

from strata import crypt, green


def test_secrets_are_compared_as_text_or_bytes():
    assert crypt.equal('geheim', b'geheim')
    assert crypt.equal('schlüssel', 'schlüssel')
    assert not crypt.equal('a', 'b')
    assert not crypt.equal('a', 'aa')
    assert not crypt.equal('\udcff', 'a')


@pytest.mark.parametrize('password', ['simple', 'schlüssel €', '', 'x' * 4000, 'nul\0inside'])
def test_a_password_is_hashed_and_known_again(password):
    hashed = crypt.hash_password(password)
    assert hashed.startswith('$argon2id$v=19$m=19456,t=2,p=1$')
    assert crypt.verify_password(hashed, password)
    assert not crypt.verify_password(hashed, password + 'x')
    assert crypt.hash_password(password) != hashed
    assert not crypt.outdated(hashed)


def test_no_account_and_a_broken_hash_verify_nothing():
    assert not crypt.verify_password(None, 'x')
    assert not crypt.verify_password('nonsense', 'x')
    assert crypt.outdated('nonsense')
    assert crypt.outdated('$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$Jfki3ssVzwjdBpIdtLdxGQ')


def test_a_cost_is_what_hashes_are_made_and_judged_at():
    cost = crypt.Cost(memory=64, passes=3)
    hashed = crypt.hash_password('x', cost)
    assert hashed.startswith('$argon2id$v=19$m=64,t=3,p=1$') and crypt.verify_password(hashed, 'x')
    assert crypt.outdated(hashed) and not crypt.outdated(hashed, cost)
    assert cost.nobody.startswith('$argon2id$v=19$m=64,t=3,p=1$') and not crypt.outdated(cost.nobody, cost)
    assert len(cost.nobody) == len(hashed) and not crypt.verify_password(None, 'x', cost)


def test_no_account_takes_as_long_as_one():
    hashed = crypt.hash_password('x')

    def took(value):
        began = time.perf_counter()
        crypt.verify_password(value, 'y')
        return time.perf_counter() - began
    pairs = [(took(None), took(hashed)) for _ in range(5)]
    assert min(nobody for nobody, _ in pairs) > 0.3 * min(somebody for _, somebody in pairs)


def test_hashing_lets_others_run():
    turns = []

    def count():
        while True:
            green.sleep(0)
            turns.append(1)
    counter = green.spawn(count)
    crypt.hash_password('x')
    counter.kill()
    assert len(turns) > 10


def test_hashing_inside_a_transaction_raises():
    with green.no_switch('a transaction'), pytest.raises(green.SwitchInTransaction):
        crypt.hash_password('x')


def test_random_tokens_do_not_repeat_and_are_safe_in_urls():
    tokens = {crypt.random_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 43 and token.replace('-', '').replace('_', '').isalnum() for token in tokens)
    assert len(crypt.random_token(16)) == 22


def test_memory_of_many_hashes_is_given_back():
    """Each of twenty native threads kept its 19 MiB: 300 MB of a process that had checked twenty passwords."""
    code = ('from strata import green\ngreen.patch()\nfrom strata import crypt\n'
            'hashed = crypt.hash_password("x")\n'
            'for _ in range(25): crypt.verify_password(hashed, "x")\n'
            'print(next(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:")))')
    said = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 120 * 1024
