"""The log: what a record looks like, and what becomes of it when the file is rotated."""

import json
import logging
import os

import pytest

from strata import context as contexts
from strata import log
from strata.testing.clock import FrozenClock


@pytest.fixture
def root():
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def watched(tmp_path):
    """A logger that writes to ``log`` through the handler, on a clock that stands still."""
    clock = FrozenClock()
    handler = log.Watched(str(tmp_path / 'log'), clock=clock)
    logger = logging.Logger('watched')
    logger.addHandler(handler)
    logger.clock = clock
    yield logger
    handler.close()


def test_a_rotated_file_is_followed_within_a_second(watched, tmp_path):
    watched.warning('before')
    os.rename(tmp_path / 'log', tmp_path / 'log.1')
    watched.clock.advance(1)
    watched.warning('after')
    assert (tmp_path / 'log.1').read_text() == 'before\n'
    assert (tmp_path / 'log').read_text() == 'after\n'


def test_the_file_is_looked_at_once_a_second_at_most(watched, tmp_path):
    os.rename(tmp_path / 'log', tmp_path / 'log.1')
    watched.clock.advance(0.9)
    watched.warning('early')
    assert not (tmp_path / 'log').exists()
    watched.clock.advance(0.1)
    watched.warning('late')
    assert (tmp_path / 'log.1').read_text() == 'early\n'
    assert (tmp_path / 'log').read_text() == 'late\n'


def test_another_file_of_the_same_name_is_followed(watched, tmp_path):
    (tmp_path / 'new').touch()
    os.replace(tmp_path / 'new', tmp_path / 'log')
    watched.clock.advance(1)
    watched.warning('here')
    assert (tmp_path / 'log').read_text() == 'here\n'


def test_a_line_break_in_a_value_forges_no_record(root, tmp_path):
    log.setup(path=str(tmp_path / 'log'))
    logging.getLogger('test').info('name %s', 'a\n2026-11-22 ERROR forged')
    [line] = (tmp_path / 'log').read_text().splitlines()
    assert 'a\\n2026-11-22 ERROR forged' in line


def test_a_record_names_the_request_it_belongs_to(root, tmp_path):
    log.setup(path=str(tmp_path / 'log'), form='json')
    context = contexts.Context(request_id='req-1', user_id='u', project_id='p')
    token = contexts.CURRENT.set(context)
    try:
        logging.getLogger('test').info('hello')
    finally:
        contexts.CURRENT.reset(token)
    record = json.loads((tmp_path / 'log').read_text())
    assert (record['request_id'], record['user_id'], record['message']) == ('req-1', 'u', 'hello')


def test_a_lost_directory_costs_no_record_and_no_request(watched, tmp_path, capsys):
    os.rename(tmp_path, tmp_path.with_name('moved'))
    watched.clock.advance(1)
    watched.warning('kept')
    assert (tmp_path.with_name('moved') / 'log').read_text() == 'kept\n'
    os.rename(tmp_path.with_name('moved'), tmp_path)
