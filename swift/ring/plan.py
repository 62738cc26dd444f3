"""How much each tier should hold: by weight, by dispersion, and between the two as overload allows.

A tier is a tuple: ``()`` the cluster, ``(region,)``, ``(region, zone)``,
``(region, zone, ip)``, ``(region, zone, ip, id)``.  A share is a number of
replicas of each partition; shares of the devices add up to the replica count.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Tier = tuple[Any, ...]
Shares = dict[Tier, float]

#: what floats lose on the way
EPSILON = 1e-6
DEPTH = 4


def tier_of(dev: dict[str, Any]) -> Tier:
    """The narrowest tier of a device: itself."""
    return dev['region'], dev['zone'], dev['ip'], dev['id']


def floor(value: float) -> int:
    """The integer below, or the one that was meant."""
    return math.floor(value + EPSILON)


def ceil(value: float) -> int:
    """The integer above, or the one that was meant."""
    return math.ceil(value - EPSILON)


def fill(total: float, weights: Sequence[float], low: Sequence[float], high: Sequence[float]) -> list[float]:
    """Shares of ``total`` in proportion to the weights, each between its bounds.

    What bounds cost or give is spread over the others.  The bounds must have
    room for the total.
    """
    shares = list(low)
    free = [each for each, weight in enumerate(weights) if weight > 0 and high[each] > low[each]]
    rest = total - sum(share for each, share in enumerate(shares) if each not in set(free))
    while free:
        unit = rest / math.fsum(weights[each] for each in free)
        over = [each for each in free if weights[each] * unit > high[each]]
        under = [each for each in free if weights[each] * unit < low[each]]
        if not over and not under:
            for each in free:
                shares[each] = weights[each] * unit
            break
        excess = math.fsum(weights[each] * unit - high[each] for each in over)
        lack = math.fsum(low[each] - weights[each] * unit for each in under)
        fixed, bound = (over, high) if excess >= lack else (under, low)
        for each in fixed:
            shares[each] = bound[each]
            rest -= bound[each]
        free = [each for each in free if each not in set(fixed)]
    return shares


class Tree:
    """The tiers of the devices that have weight, from the cluster down to the devices."""

    def __init__(self, devs: Iterable[dict[str, Any] | None]):
        self.weights = {tier_of(dev): dev['weight'] for dev in devs if dev and dev['weight'] > 0}
        self.children: dict[Tier, list[Tier]] = defaultdict(list)
        self.sizes: dict[Tier, int] = defaultdict(int)
        for leaf in sorted(self.weights):
            for depth in range(DEPTH):
                self.sizes[leaf[:depth]] += 1
                if leaf[:depth + 1] not in self.sizes:
                    self.sizes[leaf[:depth + 1]] = 0
                    self.children[leaf[:depth]].append(leaf[:depth + 1])
            self.sizes[leaf] = 1

    def summed(self, leaves: dict[Tier, Any]) -> dict[Tier, Any]:
        """Values of devices, added up for every tier above."""
        totals: dict[Tier, Any] = defaultdict(int)
        for leaf, value in leaves.items():
            for depth in range(DEPTH + 1):
                totals[leaf[:depth]] += value
        return totals

    def weighted(self, replicas: float) -> Shares:
        """Shares by weight alone; no device can have more than one replica of a partition."""
        leaves = list(self.weights)
        shares = fill(replicas, [self.weights[leaf] for leaf in leaves], [0.0] * len(leaves), [1.0] * len(leaves))
        return self.summed(dict(zip(leaves, shares)))

    def dispersed(self, replicas: float, weighted: Shares) -> Shares:
        """Shares that spread replicas evenly over the tiers, and by weight where that leaves a choice."""
        wanted: Shares = {(): replicas}
        for tier in self.down():
            children = self.children[tier]
            sizes = [self.sizes[child] for child in children]
            level = even(wanted[tier], sizes)
            shares = fill(wanted[tier], [weighted[child] for child in children],
                          [min(size, floor(level)) for size in sizes],
                          [min(size, ceil(level)) for size in sizes])
            wanted.update(zip(children, shares))
        return wanted

    def down(self) -> Iterable[Tier]:
        """Every tier that has tiers below, the wider before the narrower."""
        return sorted((tier for tier in self.children if self.children[tier]), key=lambda tier: (len(tier), tier))

    def required_overload(self, replicas: float) -> float:
        """By how much of its share the worst device would have to exceed it for full dispersion."""
        weighted = self.weighted(replicas)
        wanted = self.dispersed(replicas, weighted)
        return max((wanted[leaf] / weighted[leaf] - 1 for leaf in self.weights), default=0.0)

    def target(self, replicas: float, overload: float) -> Shares:
        """Shares by weight, moved towards dispersion as far as the overload allows."""
        weighted = self.weighted(replicas)
        wanted = self.dispersed(replicas, weighted)
        required = max((wanted[leaf] / weighted[leaf] - 1 for leaf in self.weights), default=0.0)
        part = 1.0 if required <= overload + EPSILON else overload / required
        return self.summed({leaf: weighted[leaf] + part * (wanted[leaf] - weighted[leaf])
                            for leaf in self.weights})

    def whole(self, shares: Shares, parts: int, slots: int, held: dict[Tier, int],
              rank: Callable[[Tier], float] = lambda tier: 0.0) -> dict[Tier, int]:
        """Shares as whole numbers of ``slots``, every tier within one of its share of ``parts``.

        Where rounding leaves a choice, a tier that already holds more keeps
        it, so that nothing moves for the sake of a fraction.
        """
        counts = {(): slots}
        for tier in self.down():
            children = self.children[tier]
            exact = {child: shares[child] * parts for child in children}
            for child in children:
                counts[child] = floor(exact[child])
            left = counts[tier] - sum(counts[child] for child in children)
            wishes = sorted(children, key=lambda child: (
                exact[child] - counts[child] <= EPSILON * parts, held.get(child, 0) <= counts[child],
                counts[child] - exact[child], rank(child)))
            for turn in range(left):
                counts[wishes[turn % len(wishes)]] += 1
        return counts


def even(total: float, sizes: Sequence[int]) -> float:
    """The level at which places of these sizes hold the total when all are filled alike."""
    rest, count = total, len(sizes)
    for size in sorted(sizes):
        if rest <= size * count + EPSILON:
            return rest / count
        rest -= size
        count -= 1
    return float(max(sizes, default=0))
