"""Commands that ask a whole cluster: swift-dispersion-populate and -report, swift-recon."""

import json
import re
from pathlib import Path

import pytest

from swift.cli import dispersion, recon, recon_cron
from tests.swift_cluster import AUTHLESS, Cluster


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    path = tmp_path_factory.mktemp('survey')
    with Cluster(path / 'cluster', filters=AUTHLESS.replace('listing_formats', 'listing_formats tempauth'),
                 start=False) as made:
        for node in made.nodes:
            for kind in node.ports:
                conf = Path(node.conf(kind))
                conf.write_text(conf.read_text().replace(f'pipeline = {kind}-server', f'pipeline = recon {kind}-server')
                                + '[filter:recon]\nuse = egg:swift#recon\n')
        made.start()
        yield made


@pytest.fixture(scope='module')
def conf(cluster):
    path = cluster.root / 'dispersion.conf'
    path.write_text(f'[dispersion]\nauth_url = {cluster.base}/auth/v1.0\nauth_user = test:tester\nauth_key = testing\n'
                    f'swift_dir = {cluster.swift_dir}\ndispersion_coverage = 50\nconcurrency = 4\nretries = 0\n')
    assert dispersion.populate([str(path)]) == 0
    return str(path)


def surveyed(conf, capsys, *more):
    assert dispersion.report([conf, '--dump-json', *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_copy_of_the_samples_is_found(conf, capsys):
    said = surveyed(conf, capsys)
    for kind in ('container', 'object'):
        # half of sixteen partitions, three copies each
        assert (said[kind]['copies_found'], said[kind]['copies_expected'], said[kind]['pct_found']) == (24, 24, 100.0)


def test_copies_on_a_node_that_is_away_are_missed(cluster, conf, capsys):
    node = cluster.nodes[0]
    node.stop()
    try:
        said = surveyed(conf, capsys, '--object-only')['object']
        assert 0 < said['copies_found'] < 24 and said['missing_1'] == 24 - said['copies_found']
        dispersion.report([conf, '--object-only', '--debug'])
        out = capsys.readouterr().out
        assert f'no copy on 127.0.0.1:{node.ports["object"]}/{node.device}/' in out
        assert re.search(r'^\d+\.\d\d% of object copies found \(\d+ of 24\)$', out, re.MULTILINE)
    finally:
        node.start()


def test_samples_are_kept_and_completed(conf, capsys):
    assert dispersion.populate([conf, '--object-only', '--no-overlap']) == 0
    assert 'Created 0 objects' in capsys.readouterr().out


def test_a_wrong_password_is_one_line(conf, cluster, capsys):
    path = cluster.root / 'wrong.conf'
    path.write_text(Path(conf).read_text().replace('= testing', '= wrong'))
    assert dispersion.report([str(path)]) == 1
    said = capsys.readouterr()
    # the servers of this process may log there, too
    [line] = [line for line in said.err.splitlines() if line.startswith('swift-dispersion-report: ')]
    assert not said.out and 'test:tester' in line and 'wrong' not in line


@pytest.mark.parametrize('kind', ['account', 'container', 'object'])
def test_recon_asks_every_server_everything(cluster, capsys, kind):
    for name in ('auditor', 'replicator'):
        cluster.run_once(f'{kind}-{name}')
    status = recon.main([kind, '--all', '--swiftdir', str(cluster.swift_dir), '--timeout', '10'])
    said = capsys.readouterr().out
    assert f'Starting reconnaissance on 4 hosts ({kind})' in said
    assert '4/4 hosts matched, 0 error[s]' in said and '4/4 hosts ok, 0 error[s]' in said
    assert '[replication_time] low: ' in said and '[quarantined_objects] low: 0' in said
    assert status == 0, said


def test_recon_says_who_does_not_answer(cluster, capsys):
    cluster.nodes[1].stop('object')
    try:
        assert recon.main(['object', '--loadstats', '--swiftdir', str(cluster.swift_dir)]) == 1
        said = capsys.readouterr().out
        assert f':{cluster.nodes[1].ports["object"]}/recon/load' in said and 'no_result: 1, reported: 3' in said
    finally:
        cluster.nodes[1].start('object')


@pytest.mark.parametrize('size, shown', [(0, '0 B'), (1023, '1023 B'), (1024, '1 kB'), (1536 << 20, '1.5 GB'),
                                         (5 << 60, '5120 PB')])
def test_recon_may_show_sizes_with_units(size, shown):
    assert recon.parser().parse_args(['--diskusage', '--human-readable']).human_readable
    assert recon.readable(size) == shown


def test_recon_is_told_how_far_clocks_may_be_apart(cluster, capsys):
    asked = ['--time', '--swiftdir', str(cluster.swift_dir)]
    assert recon.main([*asked, '--jitter', '60']) == 0
    assert recon.main([*asked, '--jitter=-60']) == 1
    # without a word about which, the object servers are asked
    assert '4/4 hosts matched' in (said := capsys.readouterr().out) and '0/4 hosts matched' in said


def test_recon_wants_to_be_told_what_to_ask(capsys):
    assert recon.main(['object']) == 2
    assert '--replication' in capsys.readouterr().out


def test_updates_that_wait_are_counted(cluster, capsys):
    waiting = cluster.nodes[0].disk / 'async_pending-1' / 'abc'
    waiting.mkdir(parents=True)
    (waiting / 'some-update').touch()
    conf = cluster.root / 'recon.conf'
    conf.write_text(Path(cluster.nodes[0].conf('object')).read_text().replace(
        '[DEFAULT]\n', f'[DEFAULT]\nrecon_lock_path = {cluster.root}\n'))
    assert recon_cron.main([str(conf)]) == 0
    recon.main(['object', '--async', '--swiftdir', str(cluster.swift_dir)])
    assert '[async_pending] low: 1, high: 1' in capsys.readouterr().out
    assert recon_cron.main([str(cluster.root / 'missing.conf')]) == 1
    assert 'missing.conf' in capsys.readouterr().err
