"""``swift-object-updater``: deliver pending updates of containers."""

from strata import green

green.patch()

import sys  # noqa: E402

from swift import daemon  # noqa: E402
from swift.obj.updater import ObjectUpdater  # noqa: E402

DAEMON = ObjectUpdater


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop, or once; returns the exit status."""
    return daemon.run(DAEMON, argv)


if __name__ == '__main__':
    sys.exit(main())
