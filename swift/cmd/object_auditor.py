"""``swift-object-auditor``: read every object, and quarantine those that are broken."""

from strata import green

green.patch()

import argparse  # noqa: E402
import sys  # noqa: E402

from swift import daemon  # noqa: E402
from swift.obj.auditor import ObjectAuditor  # noqa: E402

DAEMON = ObjectAuditor


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop, or once; returns the exit status."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('-z', '--zero_byte_fps', '--zero-byte-fps', type=float, default=0)
    given, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    told = f'{DAEMON.__doc__}  (-z N: only open them, N per second.)'
    return daemon.run(type('ZeroByteAuditor', (DAEMON,), {'__doc__': told, 'zero_byte_fps': given.zero_byte_fps}), rest)


if __name__ == '__main__':
    sys.exit(main())
