"""The sample files of the object store: each option in them is read, each default is the true one, and they load."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from swift import conf as confs
from swift import constraints, daemon, pipeline, policies, realms, server
from swift.cli import dispersion, drive_audit
from swift.container.server import ContainerServer
from swift.db import server as db_server
from swift.middleware import backend_ratelimit, cache
from swift.obj import server as object_server
from swift.obj import store
from swift.proxy import conf as proxy_conf
from tests.swift_cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / 'etc/swift').glob('*.conf'))
#: options that are families by name, or read by somebody else than the section's own module
FREE = re.compile(r'user(64)?_|container_(listing_)?ratelimit_\d|reseller_prefix|SERVICE_|encryption_root_secret|'
                  r'trans_id_suffix|pipeline|use|name|default|aliases|policy_type|deprecated|swift_hash_|cluster_|key|'
                  r'sorting_method|read_affinity')
DAEMONS = ('account-replicator', 'account-auditor', 'account-reaper', 'container-replicator', 'container-updater',
           'container-auditor', 'container-sync', 'container-reconciler', 'object-replicator', 'object-updater',
           'object-auditor', 'object-expirer')


def lines(path):
    """(section, option, value, whether it is commented out) of each line that says an option."""
    section = ''
    for line in path.read_text().splitlines():
        head = re.match(r'(?:# )?\[([^]]+)\]$', line)
        if head:
            section = head.group(1)
        said = re.match(r'(# )?([A-Za-z0-9_]+) =(?: (.*))?$', line)
        if said:
            yield section, said.group(2), said.group(3) or '', bool(said.group(1))


def declared(path, section):
    """The options of a section, by the modules that read it."""
    kind, _, rest = section.partition(':')
    if kind == 'filter':
        parser = confs.parse(str(path))
        name = parser.get(section, 'use').partition('#')[2]
        module = importlib.import_module(f'swift.middleware.{pipeline.FILTERS[name]}')
        more = backend_ratelimit.RATES if name == 'backend_ratelimit' else {}
        return {**getattr(module, 'OPTIONS', {}), **getattr(module, 'PREFIX_OPTIONS', {}), **more}
    if section in DAEMONS:
        found = importlib.import_module(f'swift.cmd.{section.replace("-", "_")}').DAEMON
        return {**found.OPTIONS, 'interval': confs.Option(confs.number, float(found.INTERVAL), '')}
    return {
        'DEFAULT': {**server.OPTIONS, **daemon.COMMON, 'mtime_check_interval': confs.Option(confs.number, 300.0, '')},
        'app:proxy-server': proxy_conf.OPTIONS, 'app:account-server': db_server.OPTIONS,
        'app:container-server': {**db_server.OPTIONS, **ContainerServer.OPTIONS},
        'app:object-server': {**store.OPTIONS, **object_server.OPTIONS}, 'memcache': cache.OPTIONS,
        'swift-constraints': constraints.OPTIONS, 'backend_ratelimit': backend_ratelimit.RATES,
        'dispersion': dispersion.DISPERSION, 'drive-audit': drive_audit.OPTIONS}.get(section, {})


@pytest.mark.parametrize('path', SAMPLES, ids=lambda path: path.name)
def test_each_option_is_read_and_what_is_commented_out_is_the_default(path):
    seen = list(lines(path))
    assert seen
    for section, name, value, commented in seen:
        options = declared(path, section)
        if name not in options:
            assert FREE.match(name), f'{path.name}: [{section}] {name} is read by nobody'
            continue
        option = options[name]
        if commented and value:
            found = option.kind(value)
            assert callable(found) or found in (option.default, None) or name == 'workers', f'[{section}] {name}'
        elif not commented:
            option.kind(value)


def test_there_are_samples_of_all_published_files():
    assert {path.name for path in SAMPLES} >= {
        'swift.conf', 'proxy-server.conf', 'account-server.conf', 'container-server.conf', 'object-server.conf',
        'internal-client.conf', 'container-sync-realms.conf', 'memcache.conf', 'dispersion.conf',
        'object-expirer.conf', 'container-reconciler.conf'}


@pytest.fixture
def store_of_samples(tmp_path):
    made = Cluster(tmp_path, devices=1, zones=1, replicas=1, start=False)
    for path in SAMPLES:
        text = path.read_text().replace('# swift_dir = /etc/swift', f'swift_dir = {made.swift_dir}')
        text = text.replace('memcache_servers = 127.0.0.1:11211', 'memcache_servers =')
        if path.name != 'swift.conf':
            (made.swift_dir / path.name).write_text(text)
    return made


def test_the_proxys_pipelines_load(store_of_samples):
    path = store_of_samples.swift_dir / 'proxy-server.conf'
    assert callable(pipeline.load(str(path)))
    text = path.read_text()
    with_keystone = re.search(r'^pipeline = .*$', text, re.M).group()
    with_users = re.search(r'^# (pipeline = .*tempauth.*)$', text, re.M).group(1)
    assert with_keystone == with_users.replace('tempauth', 'authtoken keystoneauth')
    path.write_text(text.replace(with_keystone, with_users))
    assert callable(pipeline.load(str(path)))
    assert callable(pipeline.load(str(store_of_samples.swift_dir / 'internal-client.conf'), complete=False))


@pytest.mark.parametrize('kind', ['account', 'container', 'object'])
def test_the_servers_pipelines_load(store_of_samples, kind):
    assert callable(pipeline.load(str(store_of_samples.swift_dir / f'{kind}-server.conf')))


def test_the_clusters_own_file_is_understood(tmp_path):
    shutil.copy(ROOT / 'etc/swift/swift.conf', tmp_path)
    shutil.copy(ROOT / 'etc/swift/container-sync-realms.conf', tmp_path)
    assert [policy.name for policy in policies.Policies.load(str(tmp_path))] == ['Policy-0']
    assert vars(constraints.Constraints.load(str(tmp_path))) == vars(constraints.Constraints())
    assert realms.Realms.load(str(tmp_path)).keys == {}


def test_each_daemon_has_a_unit():
    units = {path.name for path in (ROOT / 'etc/systemd').glob('swift-*.service')}
    assert units == {f'swift-{name}.service' for name in (*DAEMONS, 'proxy-server', 'account-server',
                                                          'container-server', 'object-server')}
    for name in units:
        text = (ROOT / 'etc/systemd' / name).read_text()
        conf = re.search(r'^ExecStart=/opt/strata/bin/(\S+) /etc/swift/(\S+)$', text, re.M)
        assert conf.group(1) == name.removesuffix('.service')
        assert (ROOT / 'etc/swift' / conf.group(2)).exists()


@pytest.mark.skipif(shutil.which('systemd-analyze') is None, reason='systemd is not installed')
def test_systemd_understands_the_units(tmp_path):
    for path in (ROOT / 'etc/systemd').glob('swift-*.service'):
        (tmp_path / path.name).write_text(re.sub(r'/opt/strata/bin/\S+', '/bin/true', path.read_text()))
    done = subprocess.run(['systemd-analyze', 'verify', *map(str, sorted(tmp_path.iterdir()))],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, '')
