"""``swift-object-server``: serve object requests."""

from strata import green

green.patch()

import sys  # noqa: E402

from swift import server  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit status."""
    return server.run('object', argv)


if __name__ == '__main__':
    sys.exit(main())
