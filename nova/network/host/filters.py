"""The security tables of a host: what the kernel holds, and the one transaction that makes it right.

    bridge strata_ports                          inet strata_groups
      prerouting (-300)                            raw (-300)        zone by bridge
        mark = sources[tap]   ---- frame ---->     prerouting (-150) jump outs[mark]
        jump spoof[tap]
      forward (-200)                               forward (0)       jump ins[mark]
        mark = sinks[tap]     ---- frame ---->                       no way out of a guarded bridge
        nothing of ours over an overlay            input (0)         nor into the host
                                                 dnat (-101)       every address becomes itself, lest
                                                 snat (99)         the host's own NAT takes bridged frames

The bridge family knows the ports but not connections, the inet family connections but not ports: the
mark tells the one what the other saw.  A connection tracking zone per network keeps equal addresses of
different networks apart.

Where the host itself is the gateway its frames to a port pass no bridge's forward hook, so there the inet
family's forward and output chains find the port by its address (``doors``).

The kernel is the only memory: after a start, or whenever somebody else changed any rule (the rule set's
generation tells), the tables are read again and every part is written anew the next time it is applied.
"""

import dataclasses
import json
import secrets
from collections.abc import Iterable
from typing import Any

from nova.network.drivers.state import METADATA_ADDRESS, PortState, bridge_name
from nova.network.host import groups, nftables
from nova.network.host.nftables import (
    DROP,
    Command,
    add,
    ct,
    delete,
    field,
    flush,
    jump,
    mangle,
    match,
    meta,
    vmap,
)

PORTS = {'family': 'bridge', 'table': 'strata_ports'}
GROUPS = {'family': 'inet', 'table': 'strata_groups'}

#: marks carry the number of a port; the first byte keeps them apart from each other and from strangers'
_FROM, _TO = 0x5b000000, 0x5a000000

_MAPS = {'sources': (PORTS, 'ifname', 'mark'), 'sinks': (PORTS, 'ifname', 'mark'),
         'spoof': (PORTS, 'ifname', 'verdict'), 'outs': (GROUPS, 'mark', 'verdict'),
         'ins': (GROUPS, 'mark', 'verdict'), 'zones': (GROUPS, 'ifname', 'verdict'),
         'doors': (GROUPS, 'ipv4_addr', 'verdict')}
_SETS = {'overlays': PORTS, 'guarded': GROUPS, 'hosted': GROUPS}


@dataclasses.dataclass(frozen=True, slots=True)
class Filtered:
    """What the filters need to know of one network."""

    id: str
    #: False where the host itself is the gateway: it must reach and be reached, in its own zone
    guarded: bool
    overlay: str | None
    ports: tuple[PortState, ...]


def _chain(where: dict[str, str], name: str, **hook: Any) -> Command:
    return add('chain', **where, name=name, **hook)


def _rule(where: dict[str, str], chain: str, *expression: Any) -> Command:
    return add('rule', **where, chain=chain, expr=list(expression))


def _element(where: dict[str, str], name: str, element: Any) -> dict[str, Any]:
    return {**where, 'name': name, 'elem': [element]}


def _base() -> list[Command]:
    """Both tables with their base chains, whether or not they are there already."""
    commands = [add('table', family=where['family'], name=where['table']) for where in (PORTS, GROUPS)]
    commands += [add('map', **where, name=name, type=key, map=value)
                 for name, (where, key, value) in _MAPS.items()]
    commands += [add('set', **where, name=name, type='ifname') for name, where in _SETS.items()]
    for where, name, kind, hook, priority in (
            (PORTS, 'prerouting', 'filter', 'prerouting', -300),
            (PORTS, 'forward', 'filter', 'forward', -200),
            (GROUPS, 'raw', 'filter', 'prerouting', -300),
            (GROUPS, 'prerouting', 'filter', 'prerouting', -150),
            (GROUPS, 'forward', 'filter', 'forward', 0),
            (GROUPS, 'output', 'filter', 'output', 0),
            (GROUPS, 'input', 'filter', 'input', 0),
            (GROUPS, 'dnat', 'nat', 'prerouting', -101),
            (GROUPS, 'snat', 'nat', 'postrouting', 99)):
        commands += [_chain(where, name, type=kind, hook=hook, prio=priority, policy='accept'),
                     flush('chain', **where, name=name)]
    into, out = meta('iifname'), meta('oifname')

    def overlay(side: Any) -> dict[str, Any]:
        return match(side, '@overlays')

    return commands + [
        _rule(PORTS, 'prerouting',
              mangle(meta('mark'), {'map': {'key': into, 'data': '@sources'}})),
        _rule(PORTS, 'prerouting', vmap(into, 'spoof')),
        _rule(PORTS, 'forward', mangle(meta('mark'), {'map': {'key': out, 'data': '@sinks'}})),
        # every host answers DHCP and metadata for its own ports
        _rule(PORTS, 'forward', overlay(out), match(field('udp', 'dport'), {'set': [67, 547]}), DROP),
        _rule(PORTS, 'forward', overlay(into), match(field('udp', 'sport'), {'set': [67, 547]}), DROP),
        _rule(PORTS, 'forward', overlay(out), match(field('arp', 'daddr ip'), METADATA_ADDRESS), DROP),
        _rule(GROUPS, 'raw', vmap(into, 'zones')),
        _rule(GROUPS, 'prerouting', vmap(meta('mark'), 'outs')),
        _rule(GROUPS, 'forward', vmap(meta('mark'), 'ins')),
        *(_rule(GROUPS, chain, match(out, '@hosted'), vmap(field('ip', 'daddr'), 'doors'))
          for chain in ('forward', 'output')),
        _rule(GROUPS, 'forward', match(into, '@guarded'), match(out, '@guarded', '!='), DROP),
        _rule(GROUPS, 'input', match(into, '@guarded'), DROP),
        *(_rule(GROUPS, verb, match(side, '@guarded'), _identity(verb, family))
          for verb, side in (('dnat', into), ('snat', out)) for family in ('ip', 'ip6')),
    ]


def _identity(verb: str, family: str) -> dict[str, Any]:
    """A translation of every address into itself; a connection is translated only once."""
    everything = '::' if family == 'ip6' else '0.0.0.0'         # noqa: S104
    return {verb: {'family': family, 'addr': {'prefix': {'addr': everything, 'len': 0}},
                   'flags': 'netmap', 'type_flags': 'prefix'}}


class Filters:
    """The two tables.  One caller at a time."""

    def __init__(self) -> None:
        self._generation: int | None = None
        self._written: dict[str, str] = {}
        self._elements: dict[str, dict[Any, Any]] = {}
        self._chains: set[tuple[str, str]] = set()
        self._zones: dict[str, int] = {}
        self._tables: set[str] = set()
        #: for what the rules of a tap were written, which spares us from making them again to compare
        self._meant: dict[str, tuple[PortState, bool]] = {}

    def apply(self, network: Filtered, gone: Iterable[str] = ()) -> None:
        """Make the rules of one network and its ports right; ``gone`` are taps that are no more."""
        self._look()
        try:
            self._apply(network, gone)
        except Exception:
            self._generation = None         # the numbers given out meanwhile are not in the kernel
            raise

    def _apply(self, network: Filtered, gone: Iterable[str]) -> None:
        parts: dict[str, list[Command]] = {'base': _base(), network.id: self._network(network)}
        meant = {port.tap_name: (port, network.guarded) for port in network.ports
                 if port.port_security_enabled}
        for tap, meaning in meant.items():
            if tap not in self._written or self._meant.get(tap) != meaning:
                parts[tap] = self._port(meaning[0], [] if network.guarded else _doors(meaning[0]))
        open_ports = {port.tap_name for port in network.ports if not port.port_security_enabled}
        commands, written = self._closed_doors(network), dict(self._written)
        for tap in [*gone, *open_ports]:
            commands += self._without_port(tap)
            written.pop(tap, None)
            self._meant.pop(tap, None)
        for key, part in parts.items():
            text = json.dumps(part)
            if written.get(key) != text:
                written[key] = text
                commands += part
        commands += self._network_leftovers(network)
        self._transact(commands, written)
        self._meant.update(meant)

    def remove(self, network_id: str, taps: Iterable[str]) -> None:
        """Take the rules of a network and of these taps away."""
        self._look()
        written = dict(self._written)
        commands: list[Command] = []
        for tap in taps:
            commands += self._without_port(tap)
            written.pop(tap, None)
            self._meant.pop(tap, None)
        bridge, zone = bridge_name(network_id), _zone_chain(network_id)
        for name in ('zones', 'guarded', 'hosted'):
            commands += self._without(name, bridge)
        commands += self._without('overlays', 'vx-' + network_id[:11])
        commands += self._without_chain(GROUPS, zone)
        written.pop(network_id, None)
        self._transact(commands, written)

    def remove_port(self, tap: str) -> None:
        """Take one port's rules away."""
        self._look()
        written = {key: text for key, text in self._written.items() if key != tap}
        self._transact(self._without_port(tap), written)

    def table(self, name: str, body: list[Command]) -> None:
        """A table of the ip family holds just this; without a body there is none."""
        self._look()
        key, text = f'table {name}', json.dumps(body)
        if self._written.get(key) == text or not body and name not in self._tables:
            return
        commands = nftables.replaced_table('ip', name, body)
        self._transact(commands if body else commands[:2], {**self._written, key: text})
        self._tables = self._tables | {name} if body else self._tables - {name}

    def reset(self) -> None:
        """Take every table of ours away."""
        nftables.transact([delete('table', family=family, name=name)
                           for family, name in sorted(nftables.tables()) if name.startswith('strata_')])
        self._generation = None

    # ---- what the kernel holds

    def _look(self) -> None:
        """Read the tables again if anybody but us changed a rule since."""
        generation = nftables.generation()
        if generation == self._generation:
            return
        self._written, self._chains, self._zones, self._meant = {}, set(), {}, {}
        self._elements = {name: {} for name in (*_MAPS, *_SETS)}
        for where in (PORTS, GROUPS):
            for entry in nftables.table(where['family'], where['table']):
                self._learn(where, entry)
        self._tables = {name for family, name in nftables.tables() if family == 'ip'}
        self._generation = nftables.generation()

    def _learn(self, where: dict[str, str], entry: dict[str, Any]) -> None:
        if 'chain' in entry:
            self._chains.add((where['table'], entry['chain']['name']))
        elif 'set' in entry and entry['set']['name'] in _SETS:
            self._elements[entry['set']['name']] = dict.fromkeys(entry['set'].get('elem', ()))
        elif 'map' in entry and entry['map']['name'] in _MAPS:
            self._elements[entry['map']['name']] = dict(entry['map'].get('elem', ()))
        elif 'rule' in entry and entry['rule']['chain'].startswith('zone-'):
            for expression in entry['rule']['expr']:
                if 'mangle' in expression:
                    self._zones[entry['rule']['chain']] = expression['mangle']['value']

    def _transact(self, commands: list[Command], written: dict[str, str]) -> None:
        if not commands:
            return
        before = nftables.generation()
        foreign = before != self._generation
        self._generation = None             # whatever happens next is not known until it is over
        nftables.transact(commands)
        after = nftables.generation()
        for command in commands:
            self._follow(command)
        self._written = written
        if not foreign and after == before + 1:
            self._generation = after

    def _follow(self, command: Command) -> None:
        """Keep our picture of the kernel in step with a command that was carried out."""
        (verb, what), = command.items()
        (kind, values), = what.items()
        if kind == 'element' and verb == 'add':
            for element in values['elem']:
                key, value = element if isinstance(element, list) else (element, None)
                self._elements[values['name']][key] = value
        elif kind == 'element' and verb == 'delete':
            for element in values['elem']:
                self._elements[values['name']].pop(element[0] if isinstance(element, list) else element, None)
        elif kind == 'chain' and verb == 'add':
            self._chains.add((values['table'], values['name']))
        elif kind == 'chain' and verb == 'delete':
            self._chains.discard((values['table'], values['name']))
            self._zones.pop(values['name'], None)

    # ---- the parts

    def _number(self, tap: str) -> int:
        """The number of a port in its marks: the one it has, or the lowest free one."""
        sources = self._elements['sources']
        if tap not in sources:
            taken = {mark & 0xffffff for mark in sources.values()}
            number = next(n for n in range(1, len(taken) + 2) if n not in taken)
            sources[tap] = _FROM | number
        return sources[tap] & 0xffffff

    def _zone(self, chain: str) -> int:
        """The connection tracking zone of a network: the one it has, or a free one.

        Chosen at random, so that a new network does not inherit the connections of one just gone.
        """
        if chain not in self._zones:
            taken = set(self._zones.values())
            self._zones[chain] = secrets.choice([n for n in range(1, 65536) if n not in taken])
        return self._zones[chain]

    def _network(self, network: Filtered) -> list[Command]:
        bridge, chain = bridge_name(network.id), _zone_chain(network.id)
        if not network.guarded:
            return [add('element', **_element(GROUPS, 'hosted', bridge)), *self._overlay(network)]
        return [
            _chain(GROUPS, chain), flush('chain', **GROUPS, name=chain),
            _rule(GROUPS, chain, mangle(ct('zone'), self._zone(chain))),
            add('element', **_element(GROUPS, 'zones', [bridge, jump(chain)])),
            add('element', **_element(GROUPS, 'guarded', bridge)),
            *self._overlay(network),
        ]

    def _overlay(self, network: Filtered) -> list[Command]:
        if not network.overlay:
            return []
        return [add('element', **_element(PORTS, 'overlays', network.overlay))]

    def _network_leftovers(self, network: Filtered) -> list[Command]:
        """What a network had while it was of another kind."""
        commands: list[Command] = []
        bridge = bridge_name(network.id)
        if not network.overlay:
            commands += self._without('overlays', 'vx-' + network.id[:11])
        if network.guarded:
            commands += self._without('hosted', bridge)
        else:
            commands += self._without('zones', bridge) + self._without('guarded', bridge)
            commands += self._without_chain(GROUPS, _zone_chain(network.id))
        return commands

    def _closed_doors(self, network: Filtered) -> list[Command]:
        """Take away the doors that lead to this network's ports by addresses they no longer have there.

        They go first: an address may pass from one port to another within one transaction.
        """
        commands: list[Command] = []
        for port in network.ports:
            if not port.port_security_enabled:
                continue
            chain, kept = jump(_name('in', port.tap_name)), [] if network.guarded else _doors(port)
            for address, verdict in list(self._elements['doors'].items()):
                if verdict == chain and address not in kept:
                    commands += self._without('doors', address)
        return commands

    def _port(self, port: PortState, doors: list[str]) -> list[Command]:
        tap, number = port.tap_name, self._number(port.tap_name)
        commands: list[Command] = []
        for where, name, rules in ((PORTS, _name('spoof', tap), groups.antispoof(port)),
                                   (GROUPS, _name('out', tap), groups.egress(port)),
                                   (GROUPS, _name('in', tap), groups.ingress(port))):
            commands += [_chain(where, name), flush('chain', **where, name=name)]
            commands += [_rule(where, name, *rule) for rule in rules]
        for name, key, value in (('sources', tap, _FROM | number), ('sinks', tap, _TO | number),
                                 ('spoof', tap, jump(_name('spoof', tap))),
                                 ('outs', _FROM | number, jump(_name('out', tap))),
                                 ('ins', _TO | number, jump(_name('in', tap)))):
            commands.append(add('element', **_element(_MAPS[name][0], name, [key, value])))
        return commands + [add('element', **_element(GROUPS, 'doors', [address, jump(_name('in', tap))]))
                           for address in doors]

    def _without_port(self, tap: str) -> list[Command]:
        commands: list[Command] = []
        mark = self._elements['sources'].get(tap)
        number = None if mark is None else mark & 0xffffff
        for name, key in (('spoof', tap), ('sources', tap), ('sinks', tap)):
            commands += self._without(name, key)
        if number is not None:
            commands += self._without('outs', _FROM | number) + self._without('ins', _TO | number)
        for address, verdict in list(self._elements['doors'].items()):
            if verdict == jump(_name('in', tap)):
                commands += self._without('doors', address)
        for where, kind in ((PORTS, 'spoof'), (GROUPS, 'out'), (GROUPS, 'in')):
            commands += self._without_chain(where, _name(kind, tap))
        return commands

    def _without(self, name: str, key: Any) -> list[Command]:
        """Take an element away if it is there; deleting one that is not would undo the transaction."""
        if key not in self._elements[name]:
            return []
        value = self._elements[name][key]
        where = _MAPS[name][0] if name in _MAPS else _SETS[name]
        return [delete('element', **_element(where, name, key if name in _SETS else [key, value]))]

    def _without_chain(self, where: dict[str, str], name: str) -> list[Command]:
        if (where['table'], name) not in self._chains:
            return []
        return [flush('chain', **where, name=name), delete('chain', **where, name=name)]


def _doors(port: PortState) -> list[str]:
    return sorted({one.ip_address for one in port.fixed_ips if ':' not in one.ip_address})


def _name(kind: str, tap: str) -> str:
    return f'{kind}-{tap[3:]}'


def _zone_chain(network_id: str) -> str:
    return 'zone-' + network_id[:11]
