"""One call of swift-ring-builder: its files, its options, and the lock that keeps others out."""

import argparse
import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator

from swift.ring import files
from swift.ring.builder import RingBuilder
from swift.ring.errors import RingError

#: option, short form, kind, as ``add`` and the searches take them
DEVICE_OPTIONS = (
    ('id', 'u', int), ('region', 'r', int), ('zone', 'z', int), ('ip', 'i', str), ('port', 'p', int),
    ('replication_ip', 'j', str), ('replication_port', 'q', int), ('device', 'd', str),
    ('weight', 'w', float), ('meta', 'm', str),
)
CHANGE_OPTIONS = (
    ('ip', 'I', str), ('port', 'P', int), ('replication_ip', 'J', str), ('replication_port', 'Q', int),
    ('device', 'D', str), ('meta', 'M', str),
)


class UsageError(RingError):
    """The command line is not of the command's form."""


class Parser(argparse.ArgumentParser):
    """Reports a bad command line as an error of ours."""

    def error(self, message):
        raise UsageError(message)


class Session:
    """One call: the builder file, the command and its arguments."""

    def __init__(self, builder_file: str, command: str, arguments: list[str]):
        self.builder_file, self.command, self.arguments = builder_file, command, arguments
        self.changed = False

    @property
    def ring_file(self) -> str:
        """Where the ring of this builder goes."""
        return self.builder_file.removesuffix('.builder') + '.ring.gz'

    def say(self, *lines: str) -> None:
        """Lines for the operator."""
        sys.stdout.writelines(line + '\n' for line in lines)

    def load(self) -> RingBuilder:
        """The builder as it stands in the file."""
        return RingBuilder.load(self.builder_file)

    def save(self, builder: RingBuilder) -> None:
        """Write the builder file."""
        builder.save(self.builder_file)
        self.changed = True

    def parser(self) -> Parser:
        """A parser that knows no options yet."""
        return Parser(prog=f'swift-ring-builder <builder_file> {self.command}', allow_abbrev=False)

    def devices_parser(self, change: bool = False) -> Parser:
        """A parser of the options that describe devices."""
        parser = self.parser()
        for name, short, kind in DEVICE_OPTIONS:
            parser.add_argument(f'-{short}', f'--{name.replace("_", "-")}', type=kind)
        for name, short, kind in CHANGE_OPTIONS if change else ():
            parser.add_argument(f'-{short}', f'--change-{name.replace("_", "-")}', type=kind)
        parser.add_argument('-y', '--yes', action='store_true')
        parser.add_argument('values', nargs='*')
        return parser

    def single(self) -> str:
        """The one argument."""
        if len(self.arguments) != 1:
            raise UsageError('one argument is needed')
        return self.arguments[0]

    def backup(self, *paths: str) -> None:
        """Keep copies of files as they are now, named by the time, in ``backups``."""
        folder = os.path.join(os.path.dirname(os.path.abspath(self.builder_file)), 'backups')
        os.makedirs(folder, exist_ok=True)
        for path in paths:
            if os.path.exists(path):
                with open(path, 'rb') as file:
                    name = f'{int(time.time())}.{os.path.basename(path)}'
                    files.replace(os.path.join(folder, name), file.read())


@contextlib.contextmanager
def alone(path: str) -> Iterator[None]:
    """Hold the folder of the builder while it changes; raises ``RingError`` when another does."""
    descriptor = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RingError(f'Ring/builder dir currently locked: {path}') from None
    finally:
        os.close(descriptor)
