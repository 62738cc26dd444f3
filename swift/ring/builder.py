"""The builder: devices, what they should hold, and the assignment of partitions that comes of it."""

import array
import math
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

from swift.ring import devices, files, report
from swift.ring.errors import DeviceError, RingError
from swift.ring.moves import Moves, held
from swift.ring.placement import place_all
from swift.ring.plan import Tree, ceil, tier_of

MAX_PART_POWER = 32
#: hours since a partition moved are kept in a byte
LONG_AGO = 0xff
HOUR = 3600


class RingBuilder:
    """A builder file in memory.

    Hours since each partition last moved are counted from ``moved_epoch``,
    a Unix time; ``clock`` tells the present one.
    """

    def __init__(self, part_power: int, replicas: float, min_part_hours: int,
                 clock: Callable[[], float] = time.time):
        if not 0 <= part_power <= MAX_PART_POWER:
            raise RingError(f'part_power must be at most {MAX_PART_POWER} (was {part_power})'
                            if part_power > 0 else f'part_power must be non-negative (was {part_power})')
        if not replicas >= 1 or not math.isfinite(replicas):
            raise RingError(f'replicas must be at least 1 (was {replicas:.6f})')
        if min_part_hours < 0:
            raise RingError(f'min_part_hours must be non-negative (was {min_part_hours})')
        self.part_power, self.replicas, self.min_part_hours = part_power, float(replicas), min_part_hours
        self.parts = 1 << part_power
        self.clock = clock
        self.next_part_power: int | None = None
        self.devs: list[dict[str, Any] | None] = []
        self.leaving: list[dict[str, Any]] = []
        self.devs_changed = False
        self.id_bytes = 2
        self.version = 0
        self.overload = 0.0
        self.rows: list[array.array] = []
        self.moved_epoch = 0
        self.moved = bytearray(self.parts)
        self.gather_start = 0
        self.graph: dict[tuple, list[int]] = {}
        self.dispersion: float | None = 0.0
        self.id: str | None = None

    @classmethod
    def load(cls, path: str, clock: Callable[[], float] = time.time) -> 'RingBuilder':
        """From a builder file, Swift's or ours; raises ``FileError``."""
        state = files.read_builder(path)
        try:
            return cls.restore(state, clock)
        except (KeyError, TypeError, ValueError, OverflowError, RingError) as error:
            raise files.FileError(f'Ring Builder file is invalid: {path}') from error

    @classmethod
    def restore(cls, state: dict[str, Any], clock: Callable[[], float] = time.time) -> 'RingBuilder':
        """From the dict of a builder file; what older builders did not know gets its default."""
        self = cls(state['part_power'], state['replicas'], 0, clock)
        self.min_part_hours = state['min_part_hours']
        self.next_part_power = state.get('next_part_power')
        self.devs = files.complete([dev and dict(dev) for dev in state['devs']])
        for dev in self.live():
            dev.setdefault('parts', 0)
        self.devs_changed = bool(state.get('devs_changed'))
        self.id_bytes = state.get('dev_id_bytes', 2)
        self.version = state.get('version', 0)
        self.overload = state.get('overload', 0.0)
        self.rows = [array.array(files.CODES[self.id_bytes], row) for row in state['_replica2part2dev'] or []]
        self.moved_epoch = state.get('_last_part_moves_epoch') or 0
        moved = state.get('_last_part_moves')
        self.moved = bytearray(self.parts if moved is None else bytes(moved))
        self.gather_start = state.get('_last_part_gather_start', 0)
        self.graph = state.get('_dispersion_graph') or {}
        self.dispersion = state.get('dispersion')
        leaving = {dev['id'] for dev in state.get('_remove_devs', ())}
        self.leaving = [dev for dev in self.live() if dev['id'] in leaving]
        self.id = state.get('id')
        return self

    def state(self) -> dict[str, Any]:
        """The dict that a builder file keeps."""
        return {
            'part_power': self.part_power, 'next_part_power': self.next_part_power,
            'replicas': self.replicas, 'min_part_hours': self.min_part_hours, 'parts': self.parts,
            'devs': self.devs, 'devs_changed': self.devs_changed, 'dev_id_bytes': self.id_bytes,
            'version': self.version, 'overload': self.overload, '_replica2part2dev': self.rows or None,
            '_last_part_moves_epoch': self.moved_epoch, '_last_part_moves': array.array('B', self.moved),
            '_last_part_gather_start': self.gather_start, '_dispersion_graph': self.graph,
            'dispersion': self.dispersion, '_remove_devs': self.leaving, 'id': self.id,
        }

    def save(self, path: str) -> None:
        """Replace the builder file; the first time, the builder gets its id."""
        self.id = self.id or uuid.uuid4().hex
        files.write_builder(path, self.state())

    @classmethod
    def from_ring(cls, data: files.RingData, min_part_hours: int) -> 'RingBuilder':
        """A builder from what a ring knows; the time of the last moves is lost."""
        self = cls(32 - data.part_shift, data.replicas, min_part_hours)
        self.devs = [dev and {**dev, 'parts': 0, 'parts_wanted': 0} for dev in data.devs]
        self.rows, self.id_bytes, self.version = data.rows, data.id_bytes, data.version or 0
        self.next_part_power = data.next_part_power
        self.recount()
        self.measure()
        return self

    def ring_data(self) -> files.RingData:
        """What a ring file says; raises ``RingError`` before the first rebalance."""
        if not self.rows:
            raise RingError('Unable to write empty ring.')
        last = max((dev['id'] for dev in self.live()), default=-1)
        return files.RingData(self.devs[:last + 1], 32 - self.part_power, self.rows, self.version,
                              self.next_part_power, self.id_bytes)

    # devices

    def live(self) -> list[dict[str, Any]]:
        """Every device, those that leave with the next rebalance too."""
        return [dev for dev in self.devs if dev is not None]

    def is_leaving(self, dev: dict[str, Any]) -> bool:
        """Whether the device goes with the next rebalance."""
        return any(dev is other for other in self.leaving)

    def get(self, each: int) -> dict[str, Any]:
        """The device of an id; raises ``DeviceError``."""
        if not 0 <= each < len(self.devs) or self.devs[each] is None:
            raise DeviceError(f'There is no device with id {each}')
        return self.devs[each]

    def search(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """The devices that are as the search says."""
        return [dev for dev in self.live() if devices.matches(dev, wanted)]

    def add(self, dev: dict[str, Any]) -> int:
        """Add a device; its id, the lowest that is free. Raises ``DeviceError``."""
        devices.check(dev)
        self.refuse_twins(dev['ip'], dev['port'], dev['device'])
        used = {other['id'] for other in self.live()} | self.assigned()
        each = next(number for number in range(len(used) + 1) if number not in used)
        if each >= (1 << 8 * self.id_bytes) - 1:
            raise DeviceError('There is no free device id left')
        self.devs.extend([None] * (each + 1 - len(self.devs)))
        self.devs[each] = {
            'region': dev['region'], 'zone': dev['zone'], 'ip': dev['ip'], 'port': dev['port'],
            'device': dev['device'], 'replication_ip': dev.get('replication_ip') or dev['ip'],
            'replication_port': dev.get('replication_port') or dev['port'], 'meta': dev.get('meta') or '',
            'weight': float(dev['weight']), 'id': each, 'parts': 0, 'parts_wanted': 0}
        self.touch()
        return each

    def assigned(self) -> set[int]:
        """Ids that stand in the assignment."""
        return set().union(*map(set, self.rows))

    def refuse_twins(self, ip: str, port: int, name: str, but: int | None = None) -> None:
        """No two devices have one address and name; raises ``DeviceError``."""
        for dev in self.live():
            if (dev['ip'], dev['port'], dev['device']) == (ip, port, name) and dev['id'] != but \
                    and not self.is_leaving(dev):
                raise DeviceError(f'Device {dev["id"]} already uses {ip}:{port}/{name}.')

    def touch(self) -> None:
        """The devices are others than at the last rebalance."""
        self.devs_changed = True
        self.version += 1

    def remove(self, each: int) -> None:
        """Let a device go with the next rebalance."""
        dev = self.get(each)
        dev['weight'] = 0
        if not self.is_leaving(dev):
            self.leaving.append(dev)
        self.touch()

    def set_weight(self, each: int, weight: float) -> None:
        """Ask for more or less from a device; raises ``DeviceError`` if it is about to leave."""
        devices.check_weight(weight)
        dev = self.get(each)
        if self.is_leaving(dev):
            raise DeviceError(f'Can not set weight of dev_id {each} because it is marked for removal')
        dev['weight'] = float(weight)
        self.touch()

    def set_place(self, each: int, key: str, number: int) -> None:
        """Set the ``region`` or the ``zone`` of a device."""
        if number < 0:
            raise DeviceError(f'Invalid {key} {number}')
        self.get(each)[key] = number
        self.touch()

    def set_info(self, each: int, changes: dict[str, Any]) -> None:
        """Change address, name or meta; nothing moves for it, though another ip is another server."""
        dev = self.get(each)
        changed = {**dev, **changes}
        devices.check(changed)
        self.refuse_twins(changed['ip'], changed['port'], changed['device'], but=each)
        if changed['ip'] != dev['ip']:
            self.devs_changed = True
        dev.update(changes)
        self.version += 1

    def set_replicas(self, replicas: float) -> None:
        """With the next rebalance, so many replicas; a fraction gives some partitions one more."""
        if not replicas >= 1 or not math.isfinite(replicas):
            raise RingError('Replica count must be at least 1.')
        if replicas != self.replicas:
            self.replicas = float(replicas)
            self.touch()

    def set_overload(self, overload: float) -> None:
        """How much more than its share a device may take for the sake of dispersion; 0.1 is 10 %."""
        if not overload >= 0 or not math.isfinite(overload):
            raise RingError('Overload must be non-negative.')
        self.overload = overload
        self.version += 1

    # assignment

    def extent(self, replica: int) -> int:
        """How many partitions have this replica; the last one may be partial."""
        whole = int(self.replicas)
        return self.parts if replica < whole else round((self.replicas - whole) * self.parts)

    def slots(self) -> list[int]:
        """Partitions by replica."""
        return [count for replica in range(ceil(self.replicas)) if (count := self.extent(replica))]

    def seconds_left(self) -> int:
        """Until something that moved in the last rebalance may move again."""
        elapsed = self.clock() - self.moved_epoch + min(self.moved) * HOUR
        return max(0, int(self.min_part_hours * HOUR - elapsed))

    def pretend_hours_passed(self) -> None:
        """Let everything move at once, whatever moved last."""
        self.moved = bytearray([LONG_AGO]) * self.parts
        self.moved_epoch = 0

    def grow_old(self) -> None:
        """Count the whole hours since the last moves; a fraction counts when it has become an hour."""
        hours = max(0, int(self.clock()) - self.moved_epoch) // HOUR
        if hours:
            self.moved = bytearray(min(LONG_AGO, age + hours) for age in self.moved)
            self.moved_epoch += hours * HOUR

    def rebalance(self, seed: str | int | None = None) -> tuple[int, float, int]:
        """Assign anew what should not stay where it is.

        Returns how many replicas got another device, the balance after it, and
        how many devices left.  Raises ``RingError`` when the devices cannot
        hold the replicas.
        """
        tree = Tree(self.devs)
        if not tree.weights:
            raise RingError('There are no devices in this ring, or all devices have been deleted')
        if len(tree.weights) < self.replicas:
            raise RingError(f'Replica count of {self.replicas} requires more than {len(tree.weights)} devices')
        rng = random.Random(seed)
        first = not self.rows
        self.grow_old()
        now = int(self.clock())
        gone = self.dismiss()
        counts = self.wanted(tree, rng)
        if first:
            self.rows = place_all(tree, counts, self.slots(), rng, files.CODES[self.id_bytes])
            changed, touched = sum(self.slots()), bytes([1]) * self.parts
        else:
            self.stretch()
            settled = bytearray(age < self.min_part_hours for age in self.moved)
            moves = Moves(self.rows, self.devs, tree, counts, settled, rng)
            changed, touched = moves.run(), moves.touched
        if changed:
            self.moved = bytearray(0 if new else age for age, new in zip(self.moved, touched))
            self.moved_epoch = now
        self.recount(counts)
        self.measure()
        self.devs_changed = False
        self.version += 1
        return changed, self.balance(), gone

    def dismiss(self) -> int:
        """Take out the devices that leave; what they held has no device now."""
        gone = {dev['id'] for dev in self.leaving}
        for each in gone:
            self.devs[each] = None
        self.leaving = []
        return len(gone)

    def wanted(self, tree: Tree, rng: random.Random) -> dict[tuple, int]:
        """Replicas for every tier, in whole numbers; rounding favours who has them already."""
        have = held(self.rows, {dev['id'] for dev in self.live()})
        holding = tree.summed({tier_of(dev): have[dev['id']] for dev in self.live()})
        slots = sum(self.slots())
        return tree.whole(tree.target(slots / self.parts, self.overload), self.parts, slots, holding,
                          lambda tier: rng.random())

    def stretch(self) -> None:
        """Give the assignment as many rows as there are replicas; new places have no device."""
        code = files.CODES[self.id_bytes]
        empty = (1 << 8 * self.id_bytes) - 1
        lengths = self.slots()
        del self.rows[len(lengths):]
        self.rows.extend(array.array(code) for _ in lengths[len(self.rows):])
        for row, length in zip(self.rows, lengths):
            del row[length:]
            row.extend(array.array(code, [empty]) * (length - len(row)))

    def recount(self, counts: dict[tuple, int] | None = None) -> None:
        """Write into each device how much it holds, and how much it lacks."""
        have = held(self.rows, {dev['id'] for dev in self.live()})
        for dev in self.live():
            dev['parts'] = have[dev['id']]
            dev['parts_wanted'] = (counts or {}).get(tier_of(dev), dev['parts']) - dev['parts']

    def measure(self) -> None:
        """Work out the dispersion."""
        self.graph = report.graph(self.rows, self.devs, self.parts)
        most = report.maxima(self.devs, self.replicas)
        self.dispersion = report.dispersion(self.graph, most, sum(map(len, self.rows)))

    def balance(self) -> float:
        """Per cent by which the worst device is off its share."""
        return report.balance(self.devs, self.parts, self.replicas)

    def required_overload(self) -> float:
        """The overload at which replicas would be spread as evenly as they can be; 0.1 is 10 %."""
        tree = Tree(self.devs)
        return tree.required_overload(self.replicas) if len(tree.weights) >= self.replicas else 0.0

    def validate(self) -> None:
        """Check that the assignment is whole; raises ``RingError`` with what is not."""
        if not self.rows:
            raise RingError('The ring has no assignment yet; did you forget to rebalance?')
        for replica, row in enumerate(self.rows):
            if len(row) != self.parts and (replica < len(self.rows) - 1 or not 0 < len(row) <= self.parts):
                raise RingError(f'Replica {replica} is assigned for {len(row)} of {self.parts} partitions')
        have = held(self.rows, {dev['id'] for dev in self.live()})
        if sum(have.values()) != sum(map(len, self.rows)):
            raise RingError('Partitions are assigned to devices that are not in the ring')
        for dev in self.live():
            if dev['parts'] != have[dev['id']]:
                raise RingError(f'Device {dev["id"]} holds {have[dev["id"]]} partitions, not {dev["parts"]}')
            if not math.isfinite(dev['weight']) or dev['weight'] < 0:
                raise RingError(f'Device {dev["id"]} has weight {dev["weight"]}')
        for part, ids in enumerate(zip(*[row for row in self.rows if len(row) == self.parts])):
            if len(set(ids)) < len(ids):
                raise RingError(f'Partition {part} is assigned twice to one device')

    def parts_of(self, ids: set[int]) -> list[tuple[int, int]]:
        """Partitions with replicas on these devices, and how many, most first."""
        counts: dict[int, int] = {}
        for row in self.rows:
            for part, each in enumerate(row):
                if each in ids:
                    counts[part] = counts.get(part, 0) + 1
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
