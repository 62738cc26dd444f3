"""Scenarios: rounds of changes to a ring, each followed by rebalances until the ring rests."""

import json
from collections.abc import Iterator
from typing import Any

from swift.ring import devices
from swift.ring.builder import RingBuilder
from swift.ring.errors import RingError

#: commands of a round, and the kinds of their arguments
FORMS: dict[str, tuple[tuple[type, ...], ...]] = {
    'add': ((str,), (int, float)),
    'set_weight': ((int,), (int, float)),
    'remove': ((int,),),
    'save': ((str,),),
}
#: rebalances of one round; a ring that has not come to rest by then is shown as it is
MAX_TURNS = 20


def load(path: str) -> dict[str, Any]:
    """A scenario, checked; raises ``RingError``."""
    try:
        with open(path, encoding='utf-8') as file:
            scenario = json.load(file)
    except (OSError, ValueError) as error:
        raise RingError(f'Unable to read scenario {path}: {error}') from None
    if not isinstance(scenario, dict):
        raise RingError('A scenario is a JSON object')
    for key, kind in (('part_power', int), ('replicas', (int, float)), ('overload', (int, float)),
                      ('random_seed', (int, str)), ('rounds', list)):
        if not isinstance(scenario.get(key), kind):
            raise RingError(f'Scenario lacks a valid {key}')
    for turn in scenario['rounds']:
        if not isinstance(turn, list):
            raise RingError('A round is a list of commands')
        for step in turn:
            check(step)
    return scenario


def check(step: Any) -> None:
    """Refuse a command that is not of its form; raises ``RingError``."""
    name, *arguments = step if isinstance(step, list) and step else [None]
    form = FORMS.get(name) if isinstance(name, str) else None
    if form is None or len(form) != len(arguments) or not all(map(isinstance, arguments, form)):
        raise RingError(f'Invalid command in scenario: {json.dumps(step)}')
    if name == 'add':
        devices.parse_add(arguments[0])


def play(scenario: dict[str, Any]) -> Iterator[str]:
    """The lines that tell what each round did."""
    builder = RingBuilder(scenario['part_power'], scenario['replicas'], 1)
    builder.set_overload(scenario['overload'])
    seed = scenario['random_seed']
    for number, turn in enumerate(scenario['rounds'], 1):
        yield f'ROUND {number}'
        for name, *arguments in turn:
            apply(builder, name, arguments)
        for count in range(1, MAX_TURNS + 1):
            moved, balance, gone = builder.rebalance(f'{seed}-{number}-{count}')
            yield f'\tREBALANCE {count}: moved {moved} parts, balance is {balance:.6f}, {gone} removed devs'
            if not moved:
                break
            builder.pretend_hours_passed()


def apply(builder: RingBuilder, name: str, arguments: list[Any]) -> None:
    """One command of a round."""
    if name == 'add':
        builder.add({**devices.parse_add(arguments[0])[0], 'weight': arguments[1]})
    elif name == 'set_weight':
        builder.set_weight(*arguments)
    elif name == 'remove':
        builder.remove(*arguments)
    else:
        builder.save(arguments[0])
