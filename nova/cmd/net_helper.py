"""nova-net-helper: the privileged half of nova-network on one host.

It is started as root before nova-network and keeps the capabilities it needs.  It is never
monkey-patched and imports nothing of the cloud but the host's own modules.
"""

import argparse
import logging
import os
import pwd
import signal
import sys
from collections.abc import Sequence

from nova.network import helper
from nova.network.host import privileges
from nova.network.host.host import Host, prepare
from strata import errors

LOG = logging.getLogger('nova-net-helper')


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='nova-net-helper',
                                     description=__doc__.partition('\n')[0])
    parser.add_argument('--socket', default='/run/strata/net-helper.sock', help='the socket to listen on')
    parser.add_argument('--state-dir', default='/var/lib/strata/net-helper',
                        help='where it is written down what was taken on this host; dnsmasq reads there too')
    parser.add_argument('--user', default='root',
                        help='the user (name or number) that nova-network runs as: it is obeyed')
    parser.add_argument('--dnsmasq-user', help='whom dnsmasq becomes; default: dnsmasq or nobody')
    parser.add_argument('--log-file', help='default: standard error')
    parser.add_argument('--keep-capabilities', action='store_true', help='do not give any up')
    parser.add_argument('--reset', action='store_true',
                        help='give back everything ever taken on this host, and end')
    return parser.parse_args(argv)


def _user(text: str) -> tuple[int, int]:
    """User and group id; ``errors.Invalid`` if there is no such user."""
    try:
        entry = pwd.getpwuid(int(text)) if text.isdigit() else pwd.getpwnam(text)
    except KeyError as error:
        raise errors.Invalid(f'There is no user {text}.') from error
    return entry.pw_uid, entry.pw_gid


def main(argv: Sequence[str] | None = None) -> int:
    """Run the helper until it is told to end; the process's exit status is returned."""
    options = _arguments(argv)
    logging.basicConfig(filename=options.log_file, level=logging.INFO,
                        format='%(asctime)s %(process)d %(levelname)s %(name)s %(message)s')
    os.umask(0o022)
    try:
        if os.geteuid():
            raise errors.Invalid('nova-net-helper must be started as root.')
        uid, gid = _user(options.user)
        held = helper.lock(options.state_dir)
        prepare()
        host = Host(options.state_dir, dnsmasq_user=options.dnsmasq_user)
        if options.reset:
            host.reset()
            return 0
        if not options.keep_capabilities:
            privileges.reduce()
        for complaint in host.check():
            LOG.warning('%s', complaint)
        sock = helper.listen(options.socket, uid=uid, gid=gid)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        LOG.info('Listening on %s, obeying user %s.', options.socket, options.user)
        helper.Helper(host, sock, allowed=[uid]).serve()
        os.close(held)
    except errors.Error as error:
        print(f'nova-net-helper: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
