"""``swift-object-expirer``: delete objects whose time is over."""

from strata import green

green.patch()

import sys  # noqa: E402

from swift import daemon  # noqa: E402
from swift.obj.expirer import ObjectExpirer  # noqa: E402

DAEMON = ObjectExpirer


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop, or once; returns the exit status."""
    return daemon.run(DAEMON, argv)


if __name__ == '__main__':
    sys.exit(main())
