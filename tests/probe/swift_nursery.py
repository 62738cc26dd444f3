"""A process that has imported the whole object store and forks its commands to order, in tenths of a second each.

It reads a line of JSON for each: ``{"command": "object_server", "argv": [...], "log": ..., "status": ...}``, and
answers with the pid.  ``status`` is a file that gets the exit status, ``network`` a network namespace to
run in.  What it started ends with it.
"""

from strata import green

green.patch()      # first of all, as in every command

import ctypes
import gc
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from strata.service import fork

_CLONE_NEWNET = 0x40000000
COMMANDS = ('proxy_server', *(f'{kind}_{what}' for kind in ('account', 'container', 'object')
                              for what in ('server', 'replicator', 'auditor')),
            'container_updater', 'object_updater')


def enter(network: str) -> None:
    """Move to a named network namespace."""
    with open(f'/var/run/netns/{network}', 'rb') as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f'cannot enter {network}')


def command(order: dict) -> Callable[[], int]:
    """What the child runs."""
    def run() -> int:
        out = os.open(order['log'], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if order.get('network'):
            enter(order['network'])
        status = 1
        try:
            status = importlib.import_module(f'swift.cmd.{order["command"]}').main(order['argv']) or 0
        except Exception:
            logging.exception('%s failed', order['command'])
        if order.get('status'):
            Path(order['status'] + '.new').write_text(str(status))
            os.rename(order['status'] + '.new', order['status'])
        return status
    return run


def main() -> None:
    """Fork until told no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)      # nobody waits for them: no zombies
    for name in COMMANDS:
        importlib.import_module(f'swift.cmd.{name}')
    for name in ('swift.proxy.app', 'swift.account.server', 'swift.container.server', 'swift.obj.server'):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(fork(command(json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
