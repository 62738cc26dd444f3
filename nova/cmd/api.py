"""nova-api: serves the compute, network and metadata APIs, each if the configuration enables it."""

from strata import green

green.patch()

import os  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

from oslo_config import cfg  # noqa: E402

from nova import conf as options  # noqa: E402
from nova.api import compute, network  # noqa: E402
from nova.api import policy as rules  # noqa: E402
from nova.cmd import parts  # noqa: E402
from nova.wiring import Wiring  # noqa: E402
from strata import errors, log  # noqa: E402
from strata.policy import Policy  # noqa: E402
from strata.service import Service  # noqa: E402
from strata.wsgi import pipeline  # noqa: E402
from strata.wsgi.server import Server, bind  # noqa: E402

#: an API, and the options that say where it listens
LISTENS = {'compute': ('osapi_compute_listen', 'osapi_compute_listen_port'),
           'network': ('network_listen', 'network_listen_port'),
           'metadata': ('metadata_listen', 'metadata_listen_port')}
#: the paste file of a checkout, used where none is installed
_SAMPLE = os.path.join(os.path.dirname(__file__), '..', '..', 'etc', 'nova', 'api-paste.ini')


def policy(conf: cfg.ConfigOpts) -> Policy:
    """The rules of all of nova's APIs, and the operator's file over them."""
    return rules.build(conf, [*compute.app.rules(), *network.rules()])


def application(conf: cfg.ConfigOpts, wiring: Wiring, name: str) -> Any:
    """One API as the paste file puts it together; ``errors.Invalid`` if it does not know it."""
    return pipeline.load(_paste(conf), name, wiring)


def applications(conf: cfg.ConfigOpts, wiring: Wiring) -> dict[str, Any]:
    """The enabled APIs by name."""
    unknown = set(conf.enabled_apis) - set(LISTENS)
    if unknown:
        raise errors.Invalid(f'enabled_apis: there is no API called {", ".join(sorted(unknown))}.')
    return {name: application(conf, wiring, name) for name in conf.enabled_apis}


def _paste(conf: cfg.ConfigOpts) -> str:
    if conf.api_paste_config:
        return str(conf.api_paste_config)
    found = conf.find_file('api-paste.ini')
    return found or os.path.normpath(_SAMPLE)


def sockets(conf: cfg.ConfigOpts) -> dict[str, Any]:
    """A listening socket for every enabled API; ``errors.Unavailable`` for an address that is taken."""
    return {name: bind((getattr(conf, LISTENS[name][0]), getattr(conf, LISTENS[name][1])))
            for name in conf.enabled_apis if name in LISTENS}


def add(service: Service, wiring: Wiring, socks: dict[str, Any] | None = None) -> None:
    """Make this process a nova-api."""
    conf = wiring.conf
    apis = applications(conf, wiring)
    for name, sock in (socks or sockets(conf)).items():
        service.add_server(Server(apis[name], sock, name=f'nova-api {name}',
                                  trusted_proxies=conf.trusted_proxies))


def metadata_server(wiring: Wiring) -> Server:
    """A server of the metadata service that listens nowhere yet: nova-network gives it its sockets."""
    return Server(application(wiring.conf, wiring, 'metadata'), name='metadata', trusted_proxies=())


def main(argv: list[str] | None = None) -> int:
    """The console script."""
    try:
        conf = options.load('nova-api', argv)
        log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
        socks = sockets(conf)
    except errors.Error as error:
        print(f'nova-api: {error}', file=sys.stderr)
        return 1

    def build(service: Service) -> None:
        wiring = parts.wiring(conf, policy(conf))
        service.add_bus(wiring.bus)
        add(service, wiring, socks)
    return Service('nova-api', conf).prefork(conf.osapi_compute_workers, build)


if __name__ == '__main__':
    sys.exit(main())
