"""``swift-drive-audit``: find disks that fail in the kernel's log, unmount them, and keep them unmounted.

Run by cron. A device with ``error_limit`` or more errors within the last ``minutes``
is unmounted and commented out of ``/etc/fstab``; recon tells how many errors there were.
"""

import argparse
import collections
import datetime
import glob
import gzip
import os
import re
import socket
import sys
from collections.abc import Iterator

from strata import errors, shell
from swift import conf as confs
from swift import recon
from swift.conf import Option

CONF = '/etc/swift/drive-audit.conf'
OPTIONS = {
    'device_dir': Option(confs.text, '/srv/node', 'where devices are mounted'),
    'minutes': Option(confs.positive, 60, 'how far back to look'),
    'error_limit': Option(confs.positive, 1, 'errors that make a disk bad'),
    'recon_cache_path': Option(confs.text, recon.CACHE_PATH, 'where recon keeps what daemons did'),
    'log_file_pattern': Option(confs.text, '/var/log/kern.*[!.][!g][!z]', 'the logs to read'),
    'log_to_console': Option(confs.boolean, False, 'say what is done on standard error'),
    'unmount_failed_device': Option(confs.boolean, True, 'whether bad disks are unmounted'),
    'fstab': Option(confs.text, '/etc/fstab', 'where bad disks are commented out'),
    'mounts': Option(confs.text, '/proc/mounts', 'what is mounted'),
}
#: what the kernel says of a disk that fails
PATTERNS = (r'\berror\b.*\b(sd[a-z]{1,2}\d?)\b', r'\b(sd[a-z]{1,2}\d?)\b.*\berror\b',
            r'\berror\b.*\b(nvme\d+n\d+(?:p\d+)?)\b', r'\b(nvme\d+n\d+(?:p\d+)?)\b.*\berror\b')
_ISO = re.compile(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)')
_SYSLOG = re.compile(r'([A-Z][a-z]{2}\s+\d{1,2} \d\d:\d\d:\d\d)')


def devices(mounts: str, device_dir: str) -> dict[str, str]:
    """Kernel's name -> mount point, of what is mounted below ``device_dir``."""
    found = {}
    with open(mounts, encoding='utf-8', errors='surrogateescape') as file:
        for line in file:
            source, place, *_ = line.split(' ')
            if source.startswith('/dev/') and os.path.dirname(place) == device_dir.rstrip('/'):
                found[os.path.basename(os.path.realpath(source))] = place
    return found


def lines(pattern: str) -> Iterator[str]:
    """Lines of all logs that match."""
    for path in sorted(glob.glob(pattern)):
        opener = gzip.open if path.endswith('.gz') else open
        with opener(path, 'rt', encoding='utf-8', errors='replace') as file:
            yield from file


def written(line: str, now: datetime.datetime) -> datetime.datetime | None:
    """When a line of a log was written; the year of those that have none is guessed."""
    found = _ISO.search(line)
    if found:
        return datetime.datetime.fromisoformat(found[1])
    found = _SYSLOG.match(line)
    if not found:
        return None
    try:
        when = datetime.datetime.strptime(f'{now.year} {found[1]}', '%Y %b %d %H:%M:%S')
    except ValueError:
        return None
    return when if when <= now + datetime.timedelta(days=1) else when.replace(year=now.year - 1)


def count(found: Iterator[str], patterns: list[re.Pattern[str]], since: datetime.datetime,
          now: datetime.datetime) -> collections.Counter[str]:
    """Errors by the kernel's name of a disk, of lines written since."""
    counts: collections.Counter[str] = collections.Counter()
    for line in found:
        hit = next((match for match in (pattern.search(line) for pattern in patterns) if match), None)
        if hit is None:
            continue
        when = written(line, now)
        if when is not None and when >= since:
            counts[hit[1]] += 1
    return counts


def comment_out(fstab: str, place: str) -> None:
    """Keep a device from being mounted again with the next boot."""
    with open(fstab, encoding='utf-8') as file:
        old = file.readlines()
    new = [f'#{line}' if not line.startswith('#') and place in line.split() else line for line in old]
    if new != old:
        beside = f'{fstab}.drive-audit'
        with open(beside, 'w', encoding='utf-8') as file:
            file.writelines(new)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, os.stat(fstab).st_mode & 0o777)
        os.replace(beside, fstab)


def main(argv: list[str] | None = None) -> int:
    """Look, and unmount what fails; 1 if something went wrong."""
    parser = argparse.ArgumentParser(prog='swift-drive-audit', description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('conf', nargs='?', default=CONF, help='(%(default)s)')
    args = parser.parse_args(argv)
    try:
        return audit(args.conf, datetime.datetime.now())
    except (errors.Error, shell.CommandFailed, OSError, re.error) as error:
        sys.stderr.write(f'swift-drive-audit: {error}\n')
        return 1


def audit(path: str, now: datetime.datetime) -> int:
    """One look; returns the exit status."""
    given = confs.read(path, 'drive-audit')
    conf = confs.options(given, OPTIONS, f'{path}: [drive-audit]')
    patterns = [re.compile(value) for key, value in sorted(given.items()) if re.fullmatch(r'regex_pattern_\d+', key)]
    patterns = patterns or [re.compile(each) for each in PATTERNS]
    mounted = devices(conf.mounts, conf.device_dir)
    counts = count(lines(conf.log_file_pattern), patterns, now - datetime.timedelta(minutes=conf.minutes), now)
    recon.dump(conf.recon_cache_path, 'drive', {
        'drive_audit_errors': sum(number for name, number in counts.items() if name in mounted)})
    for name, number in counts.items():
        place = mounted.get(name)
        if place is None or number < conf.error_limit:
            continue
        if conf.log_to_console or not conf.unmount_failed_device:
            sys.stderr.write(f'{socket.gethostname()}: {name} ({place}) has {number} errors\n')
        if conf.unmount_failed_device:
            comment_out(conf.fstab, place)
            shell.run(['umount', '-fl', place], timeout=60)
    return 0


if __name__ == '__main__':
    sys.exit(main())
