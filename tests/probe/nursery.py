"""A process that has imported the whole cloud and forks its daemons to order, in tenths of a second each.

It reads a line of JSON for each: ``{"run": "nova", "data_dir": ..., "environ": {...}}``, and answers with the
pid.  What it started ends with it.
"""

from strata import green

green.patch()      # first of all, as in every daemon

import gc
import json
import os
import signal
import sys
from collections.abc import Callable

from launcher import services
from launcher.settings import load
from strata.service import fork
from strata.testing import kill

DAEMONS = {'keystone': services.run_keystone, 'glance': services.run_glance, 'nova': services.run_nova}


def daemon(order: dict) -> Callable[[], int]:
    """What the child runs."""
    def run() -> int:
        os.environ.update(order['environ'])
        kill.install()
        settings = load(order['data_dir'])
        assert settings is not None
        return DAEMONS[order['run']](settings)
    return run


def main() -> None:
    """Fork until told no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)      # nobody waits for them: no zombies
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(fork(daemon(json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
