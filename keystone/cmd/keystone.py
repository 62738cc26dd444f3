"""``keystone``: the daemon that serves the Identity API."""

from strata import green

green.patch()

import sys  # noqa: E402
from typing import Any  # noqa: E402

from oslo_config import cfg  # noqa: E402

from keystone import conf as options  # noqa: E402
from keystone import pipeline, wiring  # noqa: E402
from keystone.api import rules  # noqa: E402
from strata import conf as configuration  # noqa: E402
from strata import errors, log  # noqa: E402
from strata.clock import CLOCK, Clock  # noqa: E402
from strata.policy import Policy  # noqa: E402
from strata.service import Service  # noqa: E402
from strata.wsgi.server import Server, bind  # noqa: E402


def wire(conf: cfg.ConfigOpts, clock: Clock = CLOCK) -> wiring.Wiring:
    """The wiring of this process; also what ``keystone.validator.Local`` needs."""
    policy = Policy(rules(), path=wiring.beside(conf, conf.oslo_policy.policy_file))
    return wiring.build(conf, policy, clock)


def application(conf: cfg.ConfigOpts, wired: wiring.Wiring | None = None) -> Any:
    """The WSGI application, for a server or for use inside another process.

    ``wired``: the wiring to use, where the caller needs it too.
    """
    return pipeline.load(wired or wire(conf))


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit status."""
    try:
        conf = options.load('keystone', argv)
        log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
        configuration.required(conf, 'database', 'connection')
        sock = bind((conf.api.listen, conf.api.port))
    except (errors.Error, OSError) as error:
        print(f'keystone: {error}', file=sys.stderr)
        return 1

    def setup(service: Service) -> None:
        wired = wire(conf)
        service.add_server(Server(application(conf, wired), sock, name='keystone',
                                  trusted_proxies=conf.api.trusted_proxies))
        service.on_stop(wired.close)

    return Service('keystone', conf).prefork(conf.api.workers, setup)


if __name__ == '__main__':
    sys.exit(main())
