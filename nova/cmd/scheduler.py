"""nova-scheduler: finds a host for each server."""

from strata import green

green.patch()

import sys  # noqa: E402

from oslo_config import cfg  # noqa: E402

from nova.cmd import parts  # noqa: E402
from strata.policy import Policy  # noqa: E402
from strata.service import Service  # noqa: E402


def build(service: Service, conf: cfg.ConfigOpts) -> None:
    """Add nova-scheduler to a service of its own."""
    parts.add_scheduler(service, parts.wiring(conf, Policy([])))


def main() -> int:
    """The console script."""
    return parts.run('nova-scheduler', build)


if __name__ == '__main__':
    sys.exit(main())
