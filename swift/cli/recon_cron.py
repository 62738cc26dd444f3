"""``swift-recon-cron``: count the updates that wait on this host's devices, for ``swift-recon --async``.

Run by cron: ``swift-recon-cron /etc/swift/object-server.conf``.
"""

import argparse
import os
import sys
import time

from strata import errors, locks
from swift import conf as confs
from swift import recon
from swift.conf import Option

OPTIONS = {
    'devices': Option(confs.text, '/srv/node', 'the directory that devices are mounted in'),
    'recon_cache_path': Option(confs.text, recon.CACHE_PATH, 'where recon keeps what daemons did'),
    'recon_lock_path': Option(confs.text, '/var/lock', 'where the lock of this command is'),
}


def count(devices: str) -> int:
    """Files below ``async_pending`` and ``async_pending-N`` of all devices."""
    total = 0
    for device in os.scandir(devices):
        if not device.is_dir():
            continue
        for place in os.scandir(device.path):
            if place.name.split('-')[0] == 'async_pending' and place.is_dir():
                for suffix in os.scandir(place.path):
                    total += sum(1 for _ in os.scandir(suffix.path)) if suffix.is_dir() else 0
    return total


def main(argv: list[str] | None = None) -> int:
    """Count once; 1 if that is not possible, or another one is at it."""
    parser = argparse.ArgumentParser(prog='swift-recon-cron', description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('conf', nargs='?', default='/etc/swift/object-server.conf', help='(%(default)s)')
    args = parser.parse_args(argv)
    try:
        conf = confs.options(confs.read(args.conf, 'filter:recon'), OPTIONS, args.conf)
        with locks.file(os.path.join(conf.recon_lock_path, 'swift-recon-object-cron'), timeout=0):
            found = count(conf.devices)
    except (errors.Error, OSError) as error:
        sys.stderr.write(f'swift-recon-cron: {error}\n')
        return 1
    recon.dump(conf.recon_cache_path, 'object', {'async_pending': found, 'async_pending_last': time.time()})
    return 0


if __name__ == '__main__':
    sys.exit(main())
