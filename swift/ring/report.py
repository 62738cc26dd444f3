"""How good a ring is: balance by device, dispersion by tier, and the tables that show them."""

import array
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from swift.ring.plan import DEPTH, Tier, Tree, ceil, tier_of

#: the balance of a device that should hold nothing and does
MAX_BALANCE = 999.99
WIDTH = 74


def balances(devs: list[dict[str, Any] | None], parts: int, replicas: float) -> dict[int, float]:
    """By device id, how many per cent more or less it holds than its weight asks for."""
    live = [dev for dev in devs if dev]
    total = math.fsum(dev['weight'] for dev in live)
    found = {}
    for dev in live:
        wanted = dev['weight'] * parts * replicas / total if total else 0
        if wanted:
            found[dev['id']] = 100.0 * dev['parts'] / wanted - 100.0
        else:
            found[dev['id']] = MAX_BALANCE if dev['parts'] else 0.0
    return found


def balance(devs: list[dict[str, Any] | None], parts: int, replicas: float) -> float:
    """The worst of the devices."""
    return max((abs(each) for each in balances(devs, parts, replicas).values()), default=0.0)


def columns(rows: list[array.array], names: dict[int, Tier]) -> tuple[list[list[int]], list[Tier]]:
    """The rows with a number for the tier in place of each device, and the tiers by number."""
    tiers = sorted(set(names.values()))
    numbers = {tier: number for number, tier in enumerate(tiers)}
    by_device = {each: numbers[name] for each, name in names.items()}
    return [[by_device[each] for each in row] for row in rows], tiers


def graph(rows: list[array.array], devs: list[dict[str, Any] | None], parts: int) -> dict[Tier, list[int]]:
    """For every tier in use, how many partitions have 0, 1, 2 ... replicas in it."""
    found: dict[Tier, list[int]] = {}
    for depth in range(1, DEPTH + 1):
        numbers, tiers = columns(rows, {dev['id']: tier_of(dev)[:depth] for dev in devs if dev})
        once: Counter = Counter()
        for column in numbers:
            once.update(column)
        for number, times in once.items():
            found[tiers[number]] = [0, times] + [0] * (len(rows) - 1)
        # few partitions meet a tier twice, or few combinations do
        again = Counter(places for places in itertools.zip_longest(*numbers) if len(set(places)) < len(places))
        for places, times in again.items():
            for number in set(places) - {None}:
                count = places.count(number)
                if count > 1:
                    found[tiers[number]][1] -= count * times
                    found[tiers[number]][count] += times
    for row in found.values():
        row[0] = parts - sum(row)
    return found


def maxima(devs: list[dict[str, Any] | None], replicas: float) -> dict[Tier, int]:
    """The replicas of a partition that a tier has at most when they are spread evenly."""
    tree = Tree(devs)
    found = {(): ceil(replicas)}
    for tier in tree.down():
        children = tree.children[tier]
        for child in children:
            found[child] = 1 if len(child) == DEPTH else ceil(found[tier] / len(children))
    return found


def excess(counts: list[int], most: int) -> int:
    """Replicas above the maximum, over all partitions."""
    return sum((number - most) * parts for number, parts in enumerate(counts) if number > most)


def dispersion(counted: dict[Tier, list[int]], most: dict[Tier, int], slots: int) -> float:
    """Per cent of all replicas that the worst level of tiers has too many."""
    levels: Counter = Counter()
    for tier, counts in counted.items():
        levels[len(tier)] += excess(counts, most.get(tier, len(counts)))
    return 100.0 * max(levels.values(), default=0) / slots if slots else 0.0


def tier_name(tier: Tier, devs: list[dict[str, Any] | None]) -> str:
    """As operators write it: ``r1z2-10.0.0.1/sdb``."""
    name = f'r{tier[0]}'
    if len(tier) > 1:
        name += f'z{tier[1]}'
    if len(tier) > 2:
        name += f'-{tier[2]}'
    if len(tier) > 3:
        name += f'/{devs[tier[3]]["device"]}'
    return name


def crowding(counted: dict[Tier, list[int]], most: dict[Tier, int], devs: list[dict[str, Any] | None],
             search: str | None = None) -> list[tuple[str, int, float, int, list[int]]]:
    """One row per tier that matches: name, replicas, per cent too many, maximum, and its counts."""
    found = []
    for tier in sorted(counted, key=lambda tier: tuple(map(str, tier))):
        name = tier_name(tier, devs)
        if search and not re.match(search, name):
            continue
        counts = counted[tier]
        placed = sum(number * parts for number, parts in enumerate(counts))
        limit = most.get(tier, len(counts) - 1)
        share = 100.0 * excess(counts, limit) / placed if placed else 0.0
        found.append((name, placed, share, limit, counts))
    return found


def dispersion_table(rows: list[tuple[str, int, float, int, list[int]]]) -> Iterator[str]:
    """The lines of the dispersion report."""
    replicas = len(rows[0][4]) if rows else 1
    width = max(28, *(len(row[0]) for row in rows)) if rows else 28
    rule = '-' * (WIDTH + width - 28 + 6 * max(0, replicas - 4))
    yield rule
    yield (f'{"Tier":<{width}}  {"Parts":>6} {"%":>6} {"Max":>6}'
           + ''.join(f'{number:>6}' for number in range(replicas)))
    yield rule
    for name, placed, share, limit, counts in rows:
        yield (f'{name:<{width}}  {placed:>6} {share:>6.2f} {limit:>6}'
               + ''.join(f'{parts:>6}' for parts in counts))


def device_table(devs: list[dict[str, Any]], shares: dict[int, float]) -> Iterator[str]:
    """The lines of the default display, devices in the order of their tiers."""
    if not devs:
        yield ('Devices:   id region zone ip address:port replication ip:port  name weight partitions balance '
               'flags meta')
        yield 'There are no devices in this ring, or all devices have been deleted'
        return
    hosts = [(bracketed(dev['ip']), bracketed(dev['replication_ip'])) for dev in devs]
    ip = max(10, *(len(host) for host, _ in hosts))
    other = max(14, *(len(host) for _, host in hosts))
    port = max(4, *(len(str(dev['port'])) for dev in devs))
    other_port = max(4, *(len(str(dev['replication_port'])) for dev in devs))
    name = max(5, *(len(dev['device']) for dev in devs))
    yield (f'Devices:   id region zone {"ip address":>{ip}}:{"port":<{port}} '
           f'{"replication ip":>{other}}:{"port":<{other_port}} {"name":>{name}} weight partitions balance '
           f'flags meta')
    for dev in sorted(devs, key=lambda dev: (dev['region'], dev['zone'], dev['ip'], dev['device'])):
        flags = 'DEL' if dev.get('removed') else ''
        yield (f'        {dev["id"]:>5} {dev["region"]:>6} {dev["zone"]:>4} '
               f'{bracketed(dev["ip"]):>{ip}}:{dev["port"]:<{port}} '
               f'{bracketed(dev["replication_ip"]):>{other}}:{dev["replication_port"]:<{other_port}} '
               f'{dev["device"]:>{name}} {dev["weight"]:>6.2f} {dev["parts"]:>10} '
               f'{shares[dev["id"]]:>7.2f} {flags:>5} {dev["meta"]}')


def search_table(devs: list[dict[str, Any]], shares: dict[int, float]) -> Iterator[str]:
    """The lines of a search's result."""
    yield ('Devices:    id  region  zone      ip address  port  replication ip  replication port'
           '      name weight partitions balance meta')
    for dev in devs:
        yield (f'         {dev["id"]:>5} {dev["region"]:>7} {dev["zone"]:>5} {dev["ip"]:>15} {dev["port"]:>5} '
               f'{dev["replication_ip"]:>15} {dev["replication_port"]:>17} {dev["device"]:>9} '
               f'{dev["weight"]:>6.2f} {dev["parts"]:>10} {shares[dev["id"]]:>7.2f} {dev["meta"]}')


def bracketed(ip: str) -> str:
    """An address as it stands before a port."""
    return f'[{ip}]' if ':' in ip else ip
