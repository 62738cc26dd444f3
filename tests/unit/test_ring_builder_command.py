"""swift-ring-builder, as an operator types it: what it says and how it ends."""

import json
import re

import pytest

from swift.cli import ring_builder, ring_usage
from swift.ring import files
from swift.ring.builder import RingBuilder

FOUR = [word for number in range(4) for word in (f'r1z{number}-10.0.0.{number}:6200/sda_m{number}', '100')]


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    """Runs one command on ``a.builder``; gives its exit status and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, file='a.builder'):
        status = ring_builder.run([file, *arguments])
        return status, capsys.readouterr().out
    return run


@pytest.fixture
def ring(say):
    assert say('create', '6', '3', '1') == (0, '')
    assert say('add', *FOUR)[0] == 0
    return say


def test_a_ring_is_made_in_three_commands(ring):
    status, said = ring('rebalance', '--seed', '1')
    assert (status, said) == (0, 'Reassigned 192 (300.00%) partitions. Balance is now 0.00.  '
                                 'Dispersion is now 0.00\n')
    assert ring('validate') == (0, '')
    status, said = ring()
    assert status == 0
    lines = said.splitlines()
    assert re.fullmatch('a.builder, build version 5, id [0-9a-f]{32}', lines[0])
    assert lines[1] == ('64 partitions, 3.000000 replicas, 1 regions, 4 zones, 4 devices, 2-byte IDs, '
                        '0.00 balance, 0.00 dispersion')
    assert lines[2].startswith('The minimum number of hours before a partition can be reassigned is 1 (0:59:')
    assert lines[3:] == [
        'The overload factor is 0.00% (0.000000)',
        'Ring file a.ring.gz is up-to-date',
        'Devices:   id region zone ip address:port replication ip:port  name weight partitions balance flags meta',
        *(f'            {number}      1    {number}   10.0.0.{number}:6200       10.0.0.{number}:6200   sda '
          f'100.00         48    0.00       m{number}' for number in range(4))]


def test_a_second_rebalance_waits_and_says_for_how_long(ring):
    ring('rebalance')
    assert ring('set_weight', 'd0', '50')[0] == 0
    status, said = ring('rebalance')
    assert status == 1
    assert said.startswith('No partitions could be reassigned.\nThe time between rebalances must be at least '
                           'min_part_hours: 1 hours (0:59:')
    assert ring('pretend_min_part_hours_passed') == (0, '')
    assert ring('rebalance')[1].startswith('Reassigned ')
    assert ring('pretend_min_part_hours_passed') == (0, '')
    assert ring('rebalance') == (1, 'No partitions could be reassigned.\nThere is no need to do so at this time\n')


def test_devices_are_added_by_options_too(say):
    say('create', '6', '3', '1')
    assert say('add', '--region', '2', '--zone', '7', '--ip', '::1', '--port', '6200', '--device', 'sdc',
               '--weight', '33.5', '--replication-ip', 'node.example', '--replication-port', '6300') == (
        0, 'Device d0r2z7-[::1]:6200Rnode.example:6300/sdc_"" with 33.5 weight got id 0\n')


@pytest.mark.parametrize('arguments, complaint', [
    (['r1z1-10.0.0.0:6200/sda', '1', 'r1z0-10.0.0.0:6200/sda', '1'], 'Device 4 already uses 10.0.0.0:6200/sda.'),
    (['r1z1-10.0.0.1/b', '1'], 'Invalid port in add value'),
    (['r1-10.0.0.1:1/b', '1'], 'Invalid add value: r1-10.0.0.1:1/b'),
    (['z1-host.example:1/b', '1'], 'Invalid ip host.example'),
    (['z1-10.0.0.1:99999/b', '1'], 'Invalid port 99999'),
    (['z1-10.0.0.1:1/..', '1'], 'Invalid device name'),
    (['z1-10.0.0.1:1/b', 'nan'], 'Invalid weight'),
    (['--zone', '1', '--ip', '10.0.0.1'], 'Required argument --port not specified.'),
])
def test_a_bad_device_leaves_the_builder_unchanged(ring, arguments, complaint):
    with open('a.builder', 'rb') as file:
        before = file.read()
    if 'already' in complaint:
        arguments = arguments[2:]
        complaint = 'Device 0 already uses 10.0.0.0:6200/sda.'
    status, said = ring('add', *arguments)
    assert status == 2
    assert complaint in said
    assert said.endswith('The on-disk ring builder is unchanged.\n')
    with open('a.builder', 'rb') as file:
        assert file.read() == before


@pytest.mark.parametrize('search, ids', [
    (['d2'], [2]), (['z1'], [1]), (['r1'], [0, 1, 2, 3]), (['z1-10.0.0.1'], [1]), (['10.0.0.3'], [3]),
    ([':6200'], [0, 1, 2, 3]), (['R10.0.0.2'], [2]), (['R:6200'], [0, 1, 2, 3]), (['/sda'], [0, 1, 2, 3]),
    (['_m3'], [3]), (['d1r1z1-10.0.0.1:6200R10.0.0.1:6200/sda_m'], [1]), (['--zone', '2'], [2]),
    (['--ip', '10.0.0.0', '--weight', '100'], [0]),
])
def test_devices_are_found_by_any_part(ring, search, ids):
    status, said = ring('search', *search)
    assert status == 0
    assert [int(line.split()[0]) for line in said.splitlines()[1:]] == ids


def test_searches_that_find_nothing_or_ask_for_nothing_end_in_error(ring):
    assert ring('search', 'z9') == (2, 'No matching devices found\n')
    assert ring('search', 'foo')[1].startswith("Invalid <search-value>: 'foo'")
    assert ring('set_weight', 'z9', '1') == (
        2, 'Search value matched 0 devices.\nThe on-disk ring builder is unchanged.\n')
    assert ring('search') [0] == 2


def test_devices_change(ring):
    assert ring('set_info', 'd0', '1.2.3.4:70R5.6.7.8:90/zz_hello')[1] == (
        'Device d0r1z0-10.0.0.0:6200R10.0.0.0:6200/sda_"m0" is now d0r1z0-1.2.3.4:70R5.6.7.8:90/zz_"hello"\n')
    assert ring('set_info', '--zone', '1', '--change-meta', 'x y')[0] == 0
    assert ring('set_zone', 'd0', '5')[1].endswith('zone set to 5\n')
    assert ring('set_region', 'd0', '6')[1].endswith('region set to 6\n')
    status, said = ring('set_weight', 'r1', '7', '--yes')
    assert status == 0
    assert said.startswith('Matched more than one device:\n    d1r1z1')
    assert said.count('weight set to 7.0') == 3
    assert [dev['weight'] for dev in RingBuilder.load('a.builder').live()] == [100, 7, 7, 7]


def test_many_devices_change_only_with_consent(ring, monkeypatch):
    monkeypatch.setattr('sys.stdin', open('/dev/null'))     # noqa: SIM115
    status, said = ring('remove', 'r1')
    assert status == 2
    assert 'Are you sure' in said
    assert ring('remove', 'd1') == (0, 'd1r1z1-10.0.0.1:6200R10.0.0.1:6200/sda_"m1" marked for removal and '
                                       'will be removed next rebalance.\n')
    assert '  DEL m1' in ring()[1]


@pytest.mark.parametrize('arguments, status, said', [
    (['set_overload', '10%'], 0, 'The overload factor is now 10.00% (0.100000)'),
    (['set_overload', '10'], 1, '!?! Warning overload is greater than 100% !?!'),
    (['set_overload', '-1'], 2, ''),
    (['set_overload', 'x'], 2, "'x' is not a valid number."),
    (['set_replicas', '2.5'], 0, 'The replica count is now 2.500000.'),
    (['set_replicas', '0'], 2, 'Replica count must be at least 1.'),
    (['set_min_part_hours', '24'], 0, 'can be reassigned is now set to 24'),
    (['set_min_part_hours', 'x'], 2, "'x' is not a whole number."),
    (['set_min_part_hours'], 2, 'swift-ring-builder <builder_file> set_min_part_hours <hours>'),
    (['write_ring'], 2, 'Unable to write empty ring.'),
    (['dispersion'], 2, 'Please rebalance first.'),
    (['validate'], 2, 'did you forget to rebalance?'),
    (['nonsense'], 2, 'Unknown command: nonsense'),
    (['create', 'x', '3', '1'], 2, "'x' is not a whole number."),
    (['create', '33', '3', '1'], 2, 'part_power must be at most 32 (was 33)'),
    (['rebalance', '--format-version', '3'], 2, 'invalid choice'),
    (['rebalance', '--help'], 0, 'swift-ring-builder <builder_file> rebalance'),
])
def test_commands_end_as_published(ring, arguments, status, said):
    ended, text = ring(*arguments)
    assert ended == status
    assert said in text


def test_dispersion_tells_the_worst_tier(ring):
    ring('set_weight', 'd0', '1')
    ring('add', 'r1z1-10.0.0.9:6200/sdb', '900')
    assert ring('rebalance', '--seed', '3')[0] == 1
    status, said = ring('dispersion', r'r\d+z\d+$', '-v')
    assert status == 1
    assert re.search(r'^Worst tier is [\d.]+ \(r1z1\)$', said, re.MULTILINE)
    assert [line.split()[0] for line in said.splitlines()[6:]] == ['r1z1', 'r1z2', 'r1z3']
    assert ring('dispersion', '(')[0] == 2


def test_partitions_are_listed_with_the_most_matches_first(ring):
    ring('rebalance')
    status, said = ring('list_parts', 'd0', 'd1')
    lines = said.splitlines()
    assert (status, lines[0]) == (0, 'Partition   Matches')
    assert len(lines) == 65
    assert [line.split()[1] for line in lines[1:]] == ['2'] * 32 + ['1'] * 32


def test_a_lost_builder_comes_back_from_its_ring(ring, tmp_path):
    ring('rebalance', '--format-version', '2')
    rows = RingBuilder.load('a.builder').rows
    assert ring('write_builder')[1].startswith('Cowardly refusing to overwrite')
    (tmp_path / 'a.builder').unlink()
    assert ring('write_builder', '7', file='a.ring.gz') == (0, '')
    builder = RingBuilder.load('a.builder')
    assert (builder.rows, builder.min_part_hours) == (rows, 7)
    assert ring('version')[1] == 'a.ring.gz: Serialization version: 2 (2-byte IDs), build version: 5\n'
    assert ring('write_ring', '--format-version', '2', '--dev-id-bytes', '4')[0] == 0
    assert files.read_ring('a.ring.gz').id_bytes == 4


def test_copies_are_kept(ring, tmp_path):
    ring('rebalance')
    names = {path.name.partition('.')[2] for path in (tmp_path / 'backups').iterdir()}
    assert names == {'a.builder', 'a.ring.gz'}


def test_what_is_no_builder_is_not_overwritten(say, tmp_path):
    (tmp_path / 'a.builder').write_text('notes')
    assert say('create', '6', '3', '1') == (2, 'Ring Builder file is invalid: a.builder\n')
    assert (tmp_path / 'a.builder').read_text() == 'notes'
    assert say(file='missing.builder') == (2, 'Ring Builder file does not exist: missing.builder\n')


def test_scenarios_are_played_until_the_ring_rests(say, tmp_path):
    (tmp_path / 's.json').write_text(json.dumps({
        'part_power': 6, 'replicas': 3, 'overload': 0.1, 'random_seed': 203, 'rounds': [
            [['add', f'r1z{number}-10.0.0.{number}:6200/sda', 100] for number in range(5)],
            [['remove', 1], ['set_weight', 2, 50.5]], [['save', str(tmp_path / 'end.builder')]]]}))
    assert say('analyze', '--check', file='s.json') == (0, '')
    status, said = say('analyze', file='s.json')
    assert status == 0
    assert said.startswith('ROUND 1\n\tREBALANCE 1: moved 192 parts, ')
    assert (tmp_path / 'end.builder').exists()
    (tmp_path / 's.json').write_text('{"part_power": 3}')
    assert say('analyze', file='s.json') == (2, 'Scenario lacks a valid replicas\n')


def test_every_command_says_how_it_is_called(say):
    assert set(ring_usage.COMMANDS) == set(ring_builder.COMMANDS)
    assert all(f'<builder_file> {name}' in ring_usage.everything()
               for name in ring_builder.COMMANDS if name != 'default')
