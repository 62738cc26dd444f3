"""Weights: which of the hosts that fit is best."""

import random
from collections.abc import Sequence

from oslo_config import cfg

from nova.scheduler.hosts import HostState


def best(hosts: Sequence[HostState], settings: cfg.ConfigOpts) -> HostState:
    """The best host, or one at random among the ``host_subset_size`` best."""
    ranked = sorted(zip(scores(hosts, settings), hosts, strict=True), key=lambda pair: (-pair[0], pair[1].host))
    return random.choice(ranked[:settings.filter_scheduler.host_subset_size])[1]


def scores(hosts: Sequence[HostState], settings: cfg.ConfigOpts) -> list[float]:
    """A score for each host: what is free, each kind scaled to 0..1 over the candidates."""
    group = settings.filter_scheduler
    kinds = (([host.free_ram_mb for host in hosts], group.ram_weight_multiplier),
             ([host.free_vcpus for host in hosts], group.cpu_weight_multiplier),
             ([host.free_disk_gb for host in hosts], group.disk_weight_multiplier))
    totals = [0.0] * len(hosts)
    for values, factor in kinds:
        for position, share in enumerate(_scaled(values)):
            totals[position] += factor * share
    return totals


def _scaled(values: Sequence[int]) -> list[float]:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]
