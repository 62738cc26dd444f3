"""Configuration files: what is wrong in one is said at once, and by name."""

import pytest
from oslo_config import cfg

from strata import conf, errors

OPTIONS = {'DEFAULT': [cfg.IntOpt('workers', default=1, min=1, help='Processes.')],
           'token': [cfg.IntOpt('expiration', default=3600, help='Seconds.')]}


def load(tmp_path, text):
    path = tmp_path / 'test.conf'
    path.write_text(text)
    return conf.load('test', OPTIONS, [], files=[str(path)])


@pytest.mark.parametrize('text, named', [
    ('[token]\nexpiration = soon\n', 'expiration'), ('[DEFAULT]\nworkers = 0\n', 'workers'),
    ('[database]\nmax_pool_size = many\n', 'max_pool_size'), ('workers\n', 'test.conf'),
], ids=['no number', 'too small', 'of every daemon', 'no assignment'])
def test_a_wrong_value_is_refused_when_the_file_is_read(tmp_path, text, named):
    with pytest.raises(errors.Invalid, match=named):
        load(tmp_path, text)


def test_a_missing_file_is_named():
    with pytest.raises(errors.Invalid, match='/no/such/file'):
        conf.load('test', OPTIONS, [], files=['/no/such/file'])


def test_what_the_caller_overrides_wins_over_the_file(tmp_path):
    path = tmp_path / 'test.conf'
    path.write_text('[token]\nexpiration = 60\n')
    loaded = conf.load('test', OPTIONS, [], files=[str(path)], token__expiration=5, workers=2)
    assert (loaded.token.expiration, loaded.workers) == (5, 2)


def test_a_missing_option_that_is_needed_is_named(tmp_path):
    with pytest.raises(errors.Invalid, match=r'\[database\] connection is not set'):
        conf.required(load(tmp_path, ''), 'database', 'connection')
