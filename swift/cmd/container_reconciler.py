"""``swift-container-reconciler``: move objects to the policy of their container."""

from strata import green

green.patch()

import sys  # noqa: E402

from swift import daemon  # noqa: E402
from swift.container.reconciler import ContainerReconciler  # noqa: E402

DAEMON = ContainerReconciler


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop, or once; returns the exit status."""
    return daemon.run(DAEMON, argv)


if __name__ == '__main__':
    sys.exit(main())
