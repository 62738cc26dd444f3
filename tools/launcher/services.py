"""What each of the forked processes runs: the services of one host, a process per service.

Each brings its own database up to date first, which costs one query when it is.
"""

import importlib

import glance.cmd.api
import keystone.cmd.keystone
import nova.cmd.api
from glance.cmd import wire as glance_wire
from glance.conf import OPTIONS as GLANCE_OPTIONS
from keystone import conf as keystone_conf
from keystone.bootstrap import Wishes, bootstrap
from keystone.db import tables as keystone_tables
from launcher import objects
from launcher.settings import DAEMON_USER, Settings
from nova import conf as nova_conf
from nova.cmd import network as nova_network
from nova.cmd import parts
from strata import conf as configuration
from strata import log, migrate
from strata.service import Service
from strata.wsgi.server import Server, bind
from swift import conf as swift_conf
from swift import pipeline as swift_pipeline
from swift import server as swift_server

__all__ = ['DAEMON_USER', 'run_glance', 'run_keystone', 'run_nova', 'run_swift', 'run_swift_sweeps']


def run_keystone(settings: Settings) -> int:
    """keystone, its keys and its administrator."""
    conf = keystone_conf.load('keystone', [], files=[settings.path('etc', 'keystone.conf')])
    log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
    wired = keystone.cmd.keystone.wire(conf)
    keystone_tables.upgrade(wired.db)
    wired.keys.setup(None)
    wired.credential_keys.setup(None)
    url = settings.url('identity', '/v3')
    bootstrap(wired, Wishes(password=settings.secrets['admin'],
                            urls={'public': url, 'internal': url, 'admin': url}))
    service = Service('keystone', conf)
    service.add_server(Server(keystone.cmd.keystone.application(conf, wired), bind((conf.api.listen, conf.api.port)),
                              name='keystone'))
    return service.run()


def run_glance(settings: Settings) -> int:
    """glance-api and, in the same process, the registry."""
    conf = configuration.load('glance-api', GLANCE_OPTIONS, [], files=[settings.path('etc', 'glance.conf')])
    log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
    wiring = glance_wire.api(conf)
    migrate.upgrade(wiring.db, glance_wire.MIGRATIONS)
    service = Service('glance', conf)
    glance.cmd.api.setup(service, conf, bind((conf.bind_host, conf.bind_port)), wiring)
    return service.run()


def run_nova(settings: Settings) -> int:
    """All of nova: the APIs, scheduler, compute, network, on a bus of their own."""
    conf = nova_conf.load('nova', [], files=[settings.path('etc', 'nova.conf')])
    log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
    wiring = parts.wiring(conf, nova.cmd.api.policy(conf))
    migrate.upgrade(wiring.db, parts.MIGRATIONS)
    service = Service('nova', conf)
    service.add_bus(wiring.bus)
    metadata = Server(nova.cmd.api.application(conf, wiring, 'metadata'), None, name='nova metadata')
    service.add_server(metadata)
    nova_network.add_network(service, wiring, metadata)
    parts.add_scheduler(service, wiring)
    parts.add_compute(service, wiring)
    nova.cmd.api.add(service, wiring)
    return service.run()


def run_swift(settings: Settings) -> int:
    """The proxy and the storage servers of all three devices."""
    service = Service('swift', grace=10)
    log.setup(path=settings.path('log', 'swift.log'))
    for kind in (*objects.KINDS, 'proxy'):
        path = settings.path('etc', 'swift', f'{kind}-server.conf')
        conf = swift_conf.options(swift_conf.read(path, f'app:{kind}-server'), swift_server.OPTIONS, path)
        service.add_server(Server(swift_pipeline.load(path), bind((conf.bind_ip, conf.bind_port)),
                                  swift_server.limits(conf, kind), name=f'{kind}-server', access_log=False))
    return service.run()


def run_swift_sweeps(settings: Settings) -> int:
    """Everything that goes over the devices by itself: replicators, auditors, updaters, expirer, reaper."""
    service = Service('swift-sweeps', grace=10)
    log.setup(path=settings.path('log', 'swift-sweeps.log'))
    for number, name in enumerate(objects.DAEMONS):
        kind = name.partition('-')[0]
        conf = swift_conf.read(settings.path('etc', 'swift', f'{kind}-server.conf'), name)
        daemon = importlib.import_module(f'swift.cmd.{name.replace("-", "_")}').DAEMON(conf)
        service.add_periodic(daemon.run_once, daemon.conf.interval, name, first=20 + number)
        service.on_stop(daemon.close)
    return service.run()
