"""How swift-ring-builder is called, command by command."""

SEARCH = """\
    A search value is d<id>r<region>z<zone>-<ip>:<port>R<r_ip>:<r_port>/<device>_<meta>,
    where every part may be left out but one: d74, z1, r2z1-1.2.3.4, :6200, R:6300,
    /sdb1, _text (any part of meta), [::1]. Or search by --id, --region, --zone, --ip,
    --port, --replication-ip, --replication-port, --device, --weight and --meta.
"""

COMMANDS = {
    'default': ('', 'Shows the builder and its devices; the flag DEL marks those that go with the next '
                    'rebalance.'),
    'create': ('<part_power> <replicas> <min_part_hours>',
               'Makes a builder with 2^<part_power> partitions. A partition moves at most one replica '
               'within <min_part_hours>.'),
    'add': ('[r<region>]z<zone>-<ip>:<port>[R<r_ip>:<r_port>]/<device>_<meta> <weight> ...\n'
            '    --region <n> --zone <n> --ip <ip or name> --port <n> [--replication-ip <ip or name>]\n'
            '    [--replication-port <n>] --device <name> --weight <n> [--meta <text>]',
            'Adds devices; they get partitions with the next rebalance.'),
    'remove': ('<search-value> ... [--yes]',
               'Lets devices go with the next rebalance, at once; to drain a device first, set its weight to 0.'),
    'search': ('<search-value>', 'Shows the devices that match.'),
    'list_parts': ('<search-value> ...',
                   'Shows the partitions on the devices that match, and on how many of them each is.'),
    'set_weight': ('<search-value> <weight> ... [--yes]',
                   'Changes what share of the partitions devices shall have.'),
    'set_region': ('<search-value> <region> ... [--yes]', 'Says that devices stand in another region.'),
    'set_zone': ('<search-value> <zone> ... [--yes]', 'Says that devices stand in another zone.'),
    'set_info': ('<search-value> <ip>:<port>[R<r_ip>:<r_port>]/<device>_<meta> ... [--yes]\n'
                 '    <search options> --change-ip --change-port --change-replication-ip\n'
                 '    --change-replication-port --change-device --change-meta [--yes]',
                 'Changes how devices are reached and named; nothing moves. write_ring publishes it.'),
    'set_replicas': ('<replicas>', 'Changes the replica count with the next rebalance; 2.5 gives every second '
                                   'partition a third replica.'),
    'set_min_part_hours': ('<hours>', 'Changes how long a partition that moved stays where it is; longer than '
                                      'a pass of the replicators takes.'),
    'set_overload': ('<overload>[%]', 'Changes by how much devices may exceed their share so that replicas are '
                                      'spread better.'),
    'rebalance': ('[--seed <text>] [--force] [--debug] [--format-version 1|2]',
                  'Assigns partitions where devices changed, and writes the ring.'),
    'validate': ('', 'Checks the assignment.'),
    'dispersion': ('[<regular expression>] [--verbose] [--recalculate]',
                   'Shows how well replicas are spread; with --verbose by tier, those that match.'),
    'pretend_min_part_hours_passed': ('', 'Lets partitions move again at once. Replicas that have not arrived '
                                          'from the last move may then be out of reach: only when you know.'),
    'write_ring': ('[--format-version 1|2] [--dev-id-bytes 2|4]', 'Writes the ring as the builder stands.'),
    'write_builder': ('[min_part_hours]', 'Makes a lost builder again from its ring, with what a ring knows.'),
    'version': ('', 'Shows the format and version of the ring file.'),
    'analyze': ('[--check]', 'Plays the scenario in the file given in place of the builder: JSON with '
                             'part_power, replicas, overload, random_seed and rounds of '
                             '["add", device, weight], ["set_weight", id, weight], ["remove", id], '
                             '["save", path].'),
}
SEARCHING = {'search', 'list_parts', 'remove', 'set_weight', 'set_region', 'set_zone', 'set_info'}


def of(name: str) -> str:
    """How one command is called."""
    form, meaning = COMMANDS[name]
    shown = '' if name == 'default' else f' {name}'
    text = f'swift-ring-builder <builder_file>{shown}{" " + form if form else ""}\n    {meaning}\n'
    return text + (SEARCH if name in SEARCHING else '')


def everything() -> str:
    """All commands, and what the exit status says."""
    parts = [f'swift-ring-builder <builder_file>{"" if name == "default" else " " + name}'
             f'{" " + form if form else ""}\n    {meaning}\n'
             for name, (form, meaning) in COMMANDS.items()]
    return '\n'.join([*parts, SEARCH,
                      'Exit codes: 0 = operation successful\n'
                      '            1 = operation completed with warnings\n'
                      '            2 = error\n'])
