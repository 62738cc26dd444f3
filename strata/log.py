"""Logs: one line a record, each with the request it belongs to.

Handlers use native locks: a greenlet lock taken from a native thread (tpool,
libvirt's event loop) deadlocks.
"""

import json
import logging
import os
import sys
import traceback
from typing import Any

from strata import clock as clocks
from strata import context as contexts

TEXT = '%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s [%(request)s] %(message)s'


class _Request(logging.Filter):
    """Adds ``request`` (``id user project``) and bounds the message."""

    longest = 16384

    def filter(self, record: logging.LogRecord) -> bool:
        context = contexts.CURRENT.get()
        record.request = f'{context.request_id} {context.user_id or "-"} {context.project_id or "-"}' \
            if context else '-'
        text = record.getMessage()
        # a newline in a user's value must not forge a second record
        record.msg, record.args = text[:self.longest].replace('\n', '\\n').replace('\r', '\\r'), ()
        return True


class _Json(logging.Formatter):
    """One JSON object a line, for collectors."""

    def format(self, record: logging.LogRecord) -> str:
        context = contexts.CURRENT.get()
        entry: dict[str, Any] = {
            'time': self.formatTime(record, '%Y-%m-%dT%H:%M:%S') + f'.{int(record.msecs):03d}',
            'level': record.levelname, 'logger': record.name, 'pid': record.process,
            'message': record.getMessage()}
        if context:
            entry.update(request_id=context.request_id, user_id=context.user_id,
                         project_id=context.project_id)
        if record.exc_info:
            entry['traceback'] = ''.join(traceback.format_exception(*record.exc_info))
        return json.dumps(entry)


class Watched(logging.FileHandler):
    """Appends to a file, and follows its name once a rotation has moved it.

    The file is looked at once a second at most: looking at each record, as
    ``logging.handlers.WatchedFileHandler`` does, costs half of a small request.
    """

    pause = 1.0

    def __init__(self, path: str, *, clock: clocks.Clock = clocks.CLOCK) -> None:
        super().__init__(path, encoding='utf-8')
        self._clock = clock
        self._look_again = clock.monotonic() + self.pause

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, to a new file if the old one was moved away."""
        now = self._clock.monotonic()
        if now >= self._look_again:
            self._look_again = now + self.pause
            try:
                self._follow()
            except OSError:      # no directory, no room: the record still goes to the old file
                self.handleError(record)
        super().emit(record)

    def _follow(self) -> None:
        old: Any = self.stream
        if old is not None and not self._in_place(old.fileno()):
            self.stream = self._open()
            old.close()

    def _in_place(self, descriptor: int) -> bool:
        try:
            there = os.stat(self.baseFilename)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))


def setup(*, debug: bool = False, path: str | None = None, form: str = 'text') -> None:
    """Send the process's log to ``path`` or standard error; called once by a daemon's ``main``."""
    handler: logging.Handler = Watched(path) if path else logging.StreamHandler(sys.stderr)
    from strata import green  # late: the commands patch before they log
    green.nativize(handler)
    handler.setFormatter(_Json() if form == 'json' else logging.Formatter(TEXT, '%Y-%m-%d %H:%M:%S'))
    handler.addFilter(_Request())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for noisy in ('amqp', 'kombu', 'urllib3', 'sqlalchemy', 'stevedore', 'oslo_policy', 'alembic'):
        logging.getLogger(noisy).setLevel(logging.WARNING)
