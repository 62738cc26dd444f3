"""``swift-object-replicator``: bring objects to where they belong."""

from strata import green

green.patch()

import sys  # noqa: E402

from swift import daemon  # noqa: E402
from swift.obj.replicator import ObjectReplicator  # noqa: E402

DAEMON = ObjectReplicator


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop, or once; returns the exit status."""
    return daemon.run(DAEMON, argv)


if __name__ == '__main__':
    sys.exit(main())
