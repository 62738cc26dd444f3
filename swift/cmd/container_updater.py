"""``swift-container-updater``: tell accounts what their containers hold."""

from strata import green

green.patch()

import sys  # noqa: E402

from swift import daemon  # noqa: E402
from swift.container.updater import ContainerUpdater  # noqa: E402

DAEMON = ContainerUpdater


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop, or once; returns the exit status."""
    return daemon.run(DAEMON, argv)


if __name__ == '__main__':
    sys.exit(main())
