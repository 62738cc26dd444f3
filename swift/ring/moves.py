"""Which replicas move when devices change: as few as bring every device to its number.

In this order, and at most one replica of a partition unless its devices are
gone: replicas without a device get one; a tier that keeps more replicas of a
partition than it should gives one away; a device above its number gives to
one below; and where no direct gift is allowed, a third device passes on one
of its own.
"""

import array
import itertools
import random
from collections import Counter
from typing import Any

from swift.ring.plan import Tier, Tree, tier_of
from swift.ring.report import columns

#: partitions looked at for each device that only a third one can help
TRIES = 4000
GIVERS = 60


class Moves:
    """One rebalance: the rows change in place, ``touched`` marks the partitions that did."""

    def __init__(self, rows: list[array.array], devs: list[dict[str, Any] | None], tree: Tree,
                 counts: dict[Tier, int], settled: bytearray, rng: random.Random):
        self.rows, self.tree, self.settled, self.rng = rows, tree, settled, rng
        self.parts = len(rows[0])
        self.touched = bytearray(self.parts)
        self.changed = 0
        self.path = {dev['id']: tuple(tier_of(dev)[:depth] for depth in range(5)) for dev in devs if dev}
        self.limit = {tier: -(-count // self.parts) for tier, count in counts.items()}
        self.least = {tier: count // self.parts for tier, count in counts.items()}
        self.want = {each: counts.get(path[4], 0) for each, path in self.path.items()}
        self.have = held(rows, self.path)
        self.hunger = {tier: 0 for path in self.path.values() for tier in path}
        self.spare = dict(self.hunger)
        for each, path in self.path.items():
            lack = self.want[each] - self.have[each]
            for tier in path:
                self.spare[tier] += lack
                self.hunger[tier] += max(lack, 0)

    def run(self) -> int:
        """The number of replicas that got another device."""
        self.house()
        self.disperse()
        self.level()
        self.trade()
        return self.changed

    def around(self, part: int, without: int | None = None) -> dict[Tier, int]:
        """Replicas of a partition by tier, all but one replica."""
        counts: dict[Tier, int] = {}
        for replica, row in enumerate(self.rows):
            if replica != without and part < len(row) and row[part] in self.path:
                for tier in self.path[row[part]]:
                    counts[tier] = counts.get(tier, 0) + 1
        return counts

    def pick(self, counts: dict[Tier, int], hungry: bool = True, tier: Tier = ()) -> Tier | None:
        """The device most in need that may have a replica beside these, or ``None``."""
        need = self.hunger if hungry else self.spare
        fit = [child for child in self.tree.children[tier]
               if counts.get(child, 0) < self.limit[child] and (not hungry or need[child] > 0)]
        if len(fit) > 1:
            fit.sort(key=lambda child: (counts.get(child, 0) >= self.least[child], -need[child]))
        for child in fit:
            found = child if len(child) == 4 else self.pick(counts, hungry, child)
            if found:
                return found
        return None

    def allowed(self, counts: dict[Tier, int], leaf: Tier) -> bool:
        """Whether the device may have a replica beside these."""
        return all(counts.get(leaf[:depth], 0) < self.limit[leaf[:depth]] for depth in range(1, 5))

    def least_harm(self, counts: dict[Tier, int]) -> Tier:
        """The device to take when none is allowed: not twice the same, then the fewest tiers too full."""
        return min(self.tree.weights, key=lambda leaf: (
            counts.get(leaf, 0), sum(counts.get(leaf[:depth], 0) >= max(self.limit[leaf[:depth]], 1)
                                     for depth in range(1, 5)), -self.spare[leaf]))

    def move(self, part: int, replica: int, leaf: Tier) -> None:
        """Give a replica to a device."""
        self.count(self.rows[replica][part], -1)
        self.rows[replica][part] = leaf[3]
        self.count(leaf[3], 1)
        self.touched[part] = 1
        self.changed += 1

    def count(self, each: int, step: int) -> None:
        """A device holds one replica more or less."""
        if each not in self.path:
            return
        lack = self.want[each] - self.have[each]
        self.have[each] += step
        change = max(lack - step, 0) - max(lack, 0)
        for tier in self.path[each]:
            self.spare[tier] -= step
            self.hunger[tier] += change

    def free(self, part: int) -> bool:
        """Whether the partition may lose a replica that is in its place."""
        return not (self.settled[part] or self.touched[part])

    def house(self) -> None:
        """Find devices for the replicas that have none."""
        known = self.path
        homeless = [(part, replica) for replica, row in enumerate(self.rows)
                    for part, each in enumerate(row) if each not in known]
        self.rng.shuffle(homeless)
        for part, replica in homeless:
            counts = self.around(part)
            leaf = self.pick(counts) or self.pick(counts, hungry=False) or self.least_harm(counts)
            self.move(part, replica, leaf)

    def crowded(self) -> list[int]:
        """Partitions with more replicas in a tier than the tier should have of any."""
        found: set[int] = set()
        for depth in range(1, 5):
            limits = {path[depth]: max(1, self.limit.get(path[depth], len(self.rows)))
                      for path in self.path.values()}
            if min(limits.values(), default=0) >= len(self.rows):
                continue
            numbers, tiers = columns(self.rows, {each: path[depth] for each, path in self.path.items()})
            most = [limits[tier] for tier in tiers]
            verdicts: dict[tuple, bool] = {}
            for part, places in enumerate(itertools.zip_longest(*numbers)):
                if len(set(places)) < len(places):
                    verdict = verdicts.get(places)
                    if verdict is None:
                        verdict = verdicts[places] = any(
                            places.count(place) > most[place] for place in places if place is not None)
                    if verdict:
                        found.add(part)
        return sorted(found)

    def disperse(self) -> None:
        """Take a replica from each tier that keeps too many of a partition, if it can go where it should."""
        crowded = self.crowded()
        self.rng.shuffle(crowded)
        for part in crowded:
            if self.free(part):
                self.thin(part)

    def thin(self, part: int) -> None:
        """Move the one replica whose leaving helps most."""
        counts = self.around(part)
        choices = []
        for replica, row in enumerate(self.rows):
            if part < len(row):
                path = self.path[row[part]]
                excess = sum(counts[tier] > self.limit.get(tier, len(self.rows)) for tier in path[1:])
                if excess:
                    choices.append((-excess, self.spare[path[4]], replica))
        for _, _, replica in sorted(choices):
            others = self.around(part, replica)
            leaf = self.pick(others) or self.pick(others, hungry=False)
            if leaf:
                self.move(part, replica, leaf)
                return

    def givers(self) -> dict[int, list[tuple[int, int]]]:
        """What each device above its number holds and may give, in an order drawn by chance."""
        found: dict[int, list[tuple[int, int]]] = {
            each: [] for each, count in self.have.items() if count > self.want[each]}
        for replica, row in enumerate(self.rows) if found else ():
            for part, each in enumerate(row):
                if each in found and self.free(part):
                    found[each].append((part, replica))
        for places in found.values():
            self.rng.shuffle(places)
        return {each: places for each, places in found.items() if places}

    def level(self) -> None:
        """From devices above their number to those below."""
        for each, places in self.givers().items():
            for part, replica in places:
                if self.have[each] <= self.want[each] or not self.hunger[()]:
                    break
                if self.free(part):
                    leaf = self.pick(self.around(part, replica))
                    if leaf:
                        self.move(part, replica, leaf)

    def trade(self) -> None:
        """Help devices below their number through a third one, where no direct gift is allowed."""
        givers = self.givers()
        for each in [each for each, count in self.have.items() if count < self.want[each]]:
            places = self.rng.sample(range(self.parts), min(self.parts, TRIES))
            for part in places if givers else ():
                if self.have[each] >= self.want[each]:
                    break
                if self.free(part):
                    self.pass_on(part, self.path[each][4], givers)

    def pass_on(self, part: int, leaf: Tier, givers: dict[int, list[tuple[int, int]]]) -> None:
        """Give one replica of the partition to ``leaf``, if its holder can take one from a giver."""
        for replica, row in enumerate(self.rows):
            if part >= len(row) or row[part] == leaf[3] or not self.allowed(self.around(part, replica), leaf):
                continue
            middle = self.path[row[part]][4]
            if self.have[middle[3]] > self.want[middle[3]]:
                self.move(part, replica, leaf)
                return
            for giver, places in givers.items():
                if self.have[giver] <= self.want[giver] or middle not in self.tree.weights:
                    continue
                for other, place in places[:GIVERS]:
                    if other != part and self.free(other) and self.rows[place][other] == giver \
                            and self.allowed(self.around(other, place), middle):
                        self.move(other, place, middle)
                        self.move(part, replica, leaf)
                        return


def held(rows: list[array.array], known: Any) -> dict[int, int]:
    """Replicas by device, for every known device."""
    counts: Counter = Counter()
    for row in rows:
        counts.update(row)
    return {each: counts[each] for each in known}
