"""kill -9, to order: at the n-th commit of a process, just before it or just after.

Between two commits lies everything that a process does to the outside world,
so killing at every commit, before and after, is killing at every step, before
and after its journal entry.
"""

import os
import signal
from typing import Any

from sqlalchemy import Engine, event

#: environment variable: ``12:before`` or ``12:after``; ``0:`` only counts
AT = 'STRATA_KILL_AT_COMMIT'
#: environment variable: a file whose presence starts the count, and which receives it
ARMED = 'STRATA_KILL_ARMED'


def install() -> None:
    """Arm the process if its environment says so; for a test's start script, before the daemon's main.

    Only commits that wrote are counted, and only from the moment the file
    named by ``ARMED`` exists; the count so far is written into it.
    """
    number, _, edge = os.environ.get(AT, '').partition(':')
    if not number:
        return
    wanted, armed, seen = int(number), os.environ[ARMED], 0

    def commits(connection: Any) -> None:
        nonlocal seen
        if not connection.get_execution_options().get('strata_write', True) or not os.path.exists(armed):
            return
        seen += 1
        with open(armed, 'w', encoding='ascii') as file:
            file.write(str(seen))
        if seen == wanted and edge == 'before':
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, 'commit', commits)
    if edge == 'after':
        _kill_after(lambda: seen == wanted)


def _kill_after(due: Any) -> None:
    """Die when the commit under way has come back from the database."""
    from strata import db

    class Session(db.Session):
        def commit(self) -> None:
            super().commit()
            if due():
                os.kill(os.getpid(), signal.SIGKILL)

    kept = db.sessionmaker

    def maker(*args: Any, **options: Any) -> Any:
        return kept(*args, class_=Session, **options)
    db.sessionmaker = maker      # type: ignore[assignment,misc]
