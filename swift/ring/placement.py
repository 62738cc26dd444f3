"""Where partitions go the first time: every tier gets its share of every partition, exactly.

Lay the devices on a line, each as long as the number of replicas it shall
have, tiers kept together, and mark the line at steps of one partition count:
the devices under the marks keep one partition.  A tier that is ``s`` steps
long has ``floor(s)`` or ``ceil(s)`` marks wherever the marks begin, which is
the best dispersion there is, on all tiers at once.  So that the replicas of a
device's partitions are not always on the same few others, the order on the
line is drawn anew for every batch of partitions; each batch takes what it
used off the line, so that in the end the counts are exact.
"""

import array
import random

from swift.ring.plan import Tier, Tree, fill

#: partitions per drawing of the line: many enough that drawing it costs little
BATCH = range(16, 257)


def place_all(tree: Tree, counts: dict[Tier, int], slots: list[int], rng: random.Random,
              code: str) -> list[array.array]:
    """A row of device ids for each of ``slots``, the number of partitions by replica.

    Where the last row is short, the partitions with it and those without are
    placed one after the other.
    """
    parts, extra = slots[0], slots[-1]
    if extra == parts:
        return place(tree, counts, parts, len(slots), rng, code)
    fewer = split(tree, counts, parts, extra, len(slots) - 1)
    more = {tier: count - fewer[tier] for tier, count in counts.items()}
    rows = place(tree, more, extra, len(slots), rng, code)
    for row, rest in zip(rows, place(tree, fewer, parts - extra, len(slots) - 1, rng, code)):
        row.extend(rest)
    return rows


def split(tree: Tree, counts: dict[Tier, int], parts: int, extra: int, replicas: int) -> dict[Tier, int]:
    """How much of its count each tier gets among the partitions that have fewer replicas.

    In proportion, as far as neither side gets more of a tier than there is room for.
    """
    rest = parts - extra
    least: dict[Tier, int] = {}
    most: dict[Tier, int] = {}
    for tier in sorted(counts, key=len, reverse=True):
        limit, children = -(-counts[tier] // parts), tree.children.get(tier, ())
        least[tier] = max(0, counts[tier] - limit * extra, sum(least[child] for child in children))
        most[tier] = min(counts[tier], limit * rest)
        if children:
            most[tier] = min(most[tier], sum(most[child] for child in children))
    shares: dict[Tier, float] = {(): float(rest * replicas)}
    for tier in tree.down():
        children = tree.children[tier]
        shares.update(zip(children, fill(shares[tier], *(
            [bound[child] for child in children] for bound in (counts, least, most)))))
    return tree.whole(shares, 1, rest * replicas, {})


def place(tree: Tree, counts: dict[Tier, int], parts: int, replicas: int, rng: random.Random,
          code: str) -> list[array.array]:
    """``replicas`` rows of ``parts`` device ids.

    ``counts`` is how many replicas each tier gets; those of the devices add
    up to ``parts * replicas``, and none is more than ``parts``.
    """
    rows = [array.array(code, bytes(parts * array.array(code).itemsize)) for _ in range(replicas)]
    order = list(range(parts))
    rng.shuffle(order)
    left = {leaf: counts[leaf] for leaf in tree.weights if counts[leaf]}
    step = min(max(BATCH[0], len(left) // 4), BATCH[-1])
    for start in range(0, parts, step):
        batch = order[start:start + step]
        rest = parts - start
        ids = marked(line(tree, left, rng), left, rest, len(batch), replicas, rng)
        rng.shuffle(batch)
        for replica, row in enumerate(rows):
            for index, part in enumerate(batch):
                row[part] = ids[replica * len(batch) + index]
    turn(rows, order, rng)
    return rows


def line(tree: Tree, left: dict[Tier, int], rng: random.Random) -> list[Tier]:
    """The devices that still have a share, in an order drawn tier by tier."""
    found: list[Tier] = []

    def walk(tier):
        children = tree.children[tier]
        for child in rng.sample(children, len(children)):
            if len(child) == 4:
                if child in left:
                    found.append(child)
            else:
                walk(child)
    walk(())
    return found


def marked(leaves: list[Tier], left: dict[Tier, int], rest: int, size: int, replicas: int,
           rng: random.Random) -> list[int]:
    """Device ids under the marks, all first replicas of the batch before all second ones.

    Takes what it used from ``left``.
    """
    offset = rng.randrange(rest // size) if rest > size else 0
    marks = [offset + index * rest // size for index in range(size)]
    ids: list[int] = []
    walk = iter(leaves)
    leaf, end, used = None, 0, 0
    for replica in range(replicas):
        base = replica * rest
        for mark in marks:
            while base + mark >= end:
                if used:
                    left[leaf] -= used
                    if not left[leaf]:
                        del left[leaf]
                leaf, used = next(walk), 0
                end += left[leaf]
            ids.append(leaf[3])
            used += 1
    left[leaf] -= used
    if not left[leaf]:
        del left[leaf]
    return ids


def turn(rows: list[array.array], order: list[int], rng: random.Random) -> None:
    """Let no device be mostly first: swap the replicas of each partition by chance."""
    count = len(rows)
    if count < 2:
        return
    picks = rng.choices(range(count), k=len(order))
    for part, shift in enumerate(picks):
        if shift:
            found = [row[part] for row in rows]
            for replica, row in enumerate(rows):
                row[part] = found[(replica + shift) % count]
