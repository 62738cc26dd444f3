"""What can be done to a server, from which states, and where it leads.

::

              +--------- reboot, rebuild ...
              v         |
    building --> active <--> paused
       |          ^  ^  \
       |          |  |   +--> suspended
       v          |  v
     error      start/stop
                  |  ^
                  v  |
                 stopped          delete: from anywhere, to nowhere

``vm_state`` is where a server rests; ``task_state`` says what is being done
to it.  A verb may begin only while ``task_state`` is NULL (delete always may).
"""

from dataclasses import dataclass

BUILDING, ACTIVE, PAUSED, SUSPENDED = 'building', 'active', 'paused', 'suspended'
STOPPED, ERROR, DELETED, RESCUED = 'stopped', 'error', 'deleted', 'rescued'
EVERY = frozenset({BUILDING, ACTIVE, PAUSED, SUSPENDED, STOPPED, ERROR, RESCUED})

#: task_states of a server that is not there yet
SCHEDULING, NETWORKING, BLOCK_DEVICES, SPAWNING = 'scheduling', 'networking', 'block_device_mapping', 'spawning'
DELETING = 'deleting'


@dataclass(frozen=True)
class Verb:
    """One verb."""

    name: str                       # in the journal and on the bus
    action: str                     # in os-instance-actions
    legal: frozenset[str]           # vm_states it may start from
    doing: str                      # task_state while it runs
    leads: str | None               # vm_state when it has succeeded; None: as it was
    locked: bool = True             # whether a locked server refuses it


BUILD = Verb('build', 'create', frozenset({BUILDING}), SCHEDULING, ACTIVE)
DELETE = Verb('delete', 'delete', EVERY, DELETING, DELETED)
START = Verb('start', 'start', frozenset({STOPPED}), 'powering-on', ACTIVE)
STOP = Verb('stop', 'stop', frozenset({ACTIVE, ERROR}), 'powering-off', STOPPED)
SOFT_REBOOT = Verb('soft_reboot', 'reboot', frozenset({ACTIVE}), 'rebooting', ACTIVE)
HARD_REBOOT = Verb('hard_reboot', 'reboot', frozenset({ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR}),
                   'rebooting_hard', ACTIVE)
PAUSE = Verb('pause', 'pause', frozenset({ACTIVE}), 'pausing', PAUSED)
UNPAUSE = Verb('unpause', 'unpause', frozenset({PAUSED}), 'unpausing', ACTIVE)
SUSPEND = Verb('suspend', 'suspend', frozenset({ACTIVE}), 'suspending', SUSPENDED)
RESUME = Verb('resume', 'resume', frozenset({SUSPENDED}), 'resuming', ACTIVE)

#: verbs that are one call of the driver
SIMPLE = (START, STOP, SOFT_REBOOT, HARD_REBOOT, PAUSE, UNPAUSE, SUSPEND, RESUME)

#: what clients see, from (vm_state, task_state); a missing task_state falls back to the vm_state's own
_STATUS: dict[str, dict[str | None, str]] = {
    BUILDING: {None: 'BUILD'},
    ACTIVE: {None: 'ACTIVE', 'rebooting': 'REBOOT', 'rebooting_hard': 'HARD_REBOOT', 'rebuilding': 'REBUILD',
             'migrating': 'MIGRATING', 'resize_prep': 'RESIZE', 'updating_password': 'PASSWORD'},
    STOPPED: {None: 'SHUTOFF', 'rebooting_hard': 'HARD_REBOOT', 'rebuilding': 'REBUILD', 'resize_prep': 'RESIZE'},
    PAUSED: {None: 'PAUSED', 'rebooting_hard': 'HARD_REBOOT', 'migrating': 'MIGRATING'},
    SUSPENDED: {None: 'SUSPENDED', 'rebooting_hard': 'HARD_REBOOT'},
    ERROR: {None: 'ERROR', 'rebooting_hard': 'HARD_REBOOT', 'rebuilding': 'REBUILD'},
    RESCUED: {None: 'RESCUE'},
    DELETED: {None: 'DELETED'},
}


def status(vm_state: str, task_state: str | None) -> str:
    """The one word that compute clients show for a server's state."""
    words = _STATUS.get(vm_state, {})
    return words.get(task_state) or words.get(None, 'UNKNOWN')


def vm_states(word: str) -> list[tuple[str, set[str] | None]]:
    """Which (vm_state, task_states) a status filter means; ``None`` for all task_states not named elsewhere."""
    found: list[tuple[str, set[str] | None]] = []
    for vm_state, words in _STATUS.items():
        for task_state, status_word in words.items():
            if status_word == word.upper():
                found.append((vm_state, None if task_state is None else {task_state}))
    return found


def named_tasks(vm_state: str) -> set[str]:
    """The task_states that give a vm_state a status of their own."""
    return {task for task in _STATUS.get(vm_state, {}) if task}
