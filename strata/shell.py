"""Commands: an argument list, never a shell string; bounded in time, memory and output.

A command gets a session of its own, so that one that takes too long is killed
with all it started.  Others run while it does; no native thread is needed.
"""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from strata import errors, green

#: what a command finds unless it is told otherwise: no locale of the operator's, no proxies, no secrets
ENV = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C', 'HOME': '/'}
_PIECE = 1 << 16
#: seconds in which output written before the end must have come through
_REST = 2.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the kernel allows a command: ``None`` is no limit."""

    cpu_seconds: int | None = None
    #: bytes of address space
    address_space: int | None = None
    #: bytes that may be written to any one file
    file_size: int | None = None

    def prefix(self) -> list[str]:
        """The command that sets them and then becomes the real one."""
        options = [f'--{name}={value}' for name, value in
                   (('cpu', self.cpu_seconds), ('as', self.address_space), ('fsize', self.file_size))
                   if value is not None]
        return ['prlimit', *options, '--'] if options else []


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a command; ``rc`` is negative for a signal."""

    rc: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.out.decode('utf-8', 'replace')


class CommandFailed(errors.Error):
    """``details``: argv, rc, out, err.  The message ends with the last lines of standard error."""

    told = False

    message = '{command} failed ({rc}): {reason}'

    def __init__(self, argv: Sequence[str], result: Result, reason: str | None = None) -> None:
        said = result.err.decode('utf-8', 'replace').strip()[-2000:]
        super().__init__(argv=list(argv), command=argv[0], rc=result.rc, out=result.out, err=result.err,
                         reason=reason or said or 'no word of why')


class CommandTimeout(CommandFailed):
    """It was killed because it took too long."""

    status = 504


def run(argv: Sequence[str], *, input: bytes | None = None, timeout: float | None = 60.0,      # noqa: A002
        env: Mapping[str, str] | None = None, limits: Limits | None = None, cwd: str | None = None,
        check: bool = True, most: int = 16 << 20) -> Result:
    """Run a command to its end.

    ``env`` is the whole environment, ``ENV`` if ``None``; ``timeout`` is in
    seconds; ``most`` bounds standard output and standard error, in bytes each.
    Raises ``CommandFailed`` if it cannot be started, makes more output or,
    unless ``check`` is false, ends with anything but 0; ``CommandTimeout`` when the time is up.
    """
    command = [*(limits.prefix() if limits else []), *argv]
    try:
        process = green.processes.Popen(
            command, stdin=green.processes.PIPE if input is not None else green.processes.DEVNULL,
            stdout=green.processes.PIPE, stderr=green.processes.PIPE, bufsize=0, cwd=cwd,
            env=dict(ENV if env is None else env), start_new_session=True, close_fds=True)
    except OSError as error:
        raise CommandFailed(argv, Result(127, b'', b''), error.strerror or str(error)) from error
    talk = _Talk(process, most)
    try:
        with green.timeout(timeout, _TooLong()):
            talk.run(input)
    except _TooLong:
        raise CommandTimeout(argv, talk.end(), f'no end after {timeout} s') from None
    finally:
        result = talk.end()
    if talk.overflow:
        raise CommandFailed(argv, result, f'more than {most} bytes of output')
    if check and result.rc:
        raise CommandFailed(argv, result)
    return result


class _TooLong(Exception):
    pass


class _Talk:
    """The pipes of one process, each served by a greenlet."""

    def __init__(self, process: Any, most: int) -> None:
        self._process = process
        self._most = most
        self._out: list[bytes] = []
        self._err: list[bytes] = []
        self._workers: list[green.Greenlet] = []
        #: it was killed because it made too much output
        self.overflow = False

    def run(self, given: bytes | None) -> None:
        """Feed, read and wait for the end of the process and of its output."""
        process = self._process
        if given is not None:
            self._workers.append(green.spawn(self._feed, process.stdin, given))
        readers = [green.spawn(self._read, process.stdout, self._out),
                   green.spawn(self._read, process.stderr, self._err)]
        self._workers += readers
        pidfd = os.pidfd_open(process.pid)
        try:
            green.readable(pidfd)
        finally:
            os.close(pidfd)
        for reader in readers:      # a daemon it left behind may hold the pipes for ever
            with contextlib.suppress(TimeoutError):
                reader.wait(_REST)

    def _feed(self, pipe: Any, data: bytes) -> None:
        os.set_blocking(pipe.fileno(), False)
        rest = memoryview(data)
        with contextlib.suppress(BrokenPipeError), pipe:
            while rest:
                try:
                    rest = rest[os.write(pipe.fileno(), rest[:_PIECE]):]
                except BlockingIOError:
                    green.writable(pipe.fileno())

    def _read(self, pipe: Any, pieces: list[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        size = 0
        with pipe:
            while True:
                try:
                    data = os.read(pipe.fileno(), _PIECE)
                except BlockingIOError:
                    green.readable(pipe.fileno())
                    continue
                if not data:
                    return
                pieces.append(data)
                size += len(data)
                if size > self._most:
                    self.overflow = True
                    self._kill()
                    return

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> Result:
        """What there is; a process that still runs is killed with all its children."""
        for worker in self._workers:
            worker.kill()
        process = self._process
        if process.poll() is None:
            self._kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return Result(process.returncode, b''.join(self._out), b''.join(self._err))
