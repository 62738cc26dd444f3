"""swift-ring-builder: make and change rings; ends with 0 when done, 1 with a warning, 2 in error."""

import argparse
import contextlib
import datetime
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from swift.cli import ring_analyzer, ring_usage
from swift.cli.ring_session import CHANGE_OPTIONS, DEVICE_OPTIONS, Parser, Session, UsageError, alone
from swift.ring import devices, files, report
from swift.ring.builder import RingBuilder
from swift.ring.errors import DeviceError, RingError

SUCCESS, WARNING, ERROR = 0, 1, 2
#: what a rebalance must improve, in per cent, to be worth shipping a ring
WORTH_IT = 1
#: balance above which another rebalance is due
UNBALANCED = 5
RULE = '-' * 79

Command = Callable[[Session], int]
COMMANDS: dict[str, Command] = {}


def command(function: Command) -> Command:
    """A function that is a command of its name."""
    COMMANDS[function.__name__] = function
    return function


def described(options: argparse.Namespace, table: Any = DEVICE_OPTIONS, prefix: str = '') -> dict[str, Any]:
    """What the options say of a device."""
    values = {name: getattr(options, prefix + name) for name, _, _ in table}
    return {name: value for name, value in values.items() if value is not None}


def found(builder: RingBuilder, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The devices of a search; raises ``DeviceError`` when there are none."""
    devs = builder.search(wanted)
    if not devs:
        raise DeviceError('Search value matched 0 devices.\nThe on-disk ring builder is unchanged.')
    return devs


def agreed(session: Session, devs: list[dict[str, Any]], sure: bool, question: str) -> None:
    """Ask before many devices change; raises ``DeviceError`` when the answer is no."""
    if len(devs) < 2:
        return
    session.say('Matched more than one device:', *(f'    {devices.named(dev)}' for dev in devs))
    if not sure:
        sys.stdout.write(f'Are you sure you want to {question} these {len(devs)} devices? (y/N) ')
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() != 'y':
            raise DeviceError('Aborting device modifications')


def searched(session: Session, options: argparse.Namespace, pairs: bool) -> Iterator[tuple[dict, str | None]]:
    """Each search of the command line, and where ``pairs`` the value that belongs to it."""
    by_options = described(options)
    if by_options:
        if len(options.values) != pairs:
            raise UsageError('search by options or by values, and one new value')
        yield by_options, options.values[0] if pairs else None
        return
    step = 2 if pairs else 1
    if not options.values or len(options.values) % step:
        raise UsageError('search values are missing')
    for index in range(0, len(options.values), step):
        yield devices.parse_search(options.values[index]), options.values[index + 1] if pairs else None


@command
def create(session: Session) -> int:
    """A new builder, in place of one that may be there."""
    if len(session.arguments) != 3:
        raise UsageError('part power, replicas and hours are needed')
    power, replicas, hours = session.arguments
    if os.path.exists(session.builder_file):
        session.load()              # what is no builder is not ours to overwrite
    builder = RingBuilder(whole(power), number(replicas), whole(hours))
    session.backup(session.builder_file)
    session.save(builder)
    session.backup(session.builder_file)
    return SUCCESS


def whole(text: str) -> int:
    """An integer; raises ``RingError``."""
    try:
        return int(text)
    except ValueError:
        raise RingError(f"'{text}' is not a whole number.") from None


def number(text: str) -> float:
    """A number; raises ``RingError``."""
    try:
        return float(text)
    except ValueError:
        raise RingError(f"'{text}' is not a valid number.") from None


@command
def default(session: Session) -> int:
    """The builder and its devices."""
    builder = session.load()
    live = builder.live()
    tiers = len({dev['region'] for dev in live}), len({(dev['region'], dev['zone']) for dev in live})
    spread = '' if builder.dispersion is None else f', {builder.dispersion:.2f} dispersion'
    left = datetime.timedelta(seconds=builder.seconds_left())
    session.say(
        f'{session.builder_file}, build version {builder.version}, id {builder.id or "(not set)"}',
        f'{builder.parts} partitions, {builder.replicas:.6f} replicas, {tiers[0]} regions, {tiers[1]} zones, '
        f'{len(live)} devices, {builder.id_bytes}-byte IDs, {builder.balance():.2f} balance{spread}',
        f'The minimum number of hours before a partition can be reassigned is {builder.min_part_hours} '
        f'({left} remaining)',
        f'The overload factor is {builder.overload * 100:.2f}% ({builder.overload:.6f})',
        ring_state(session, builder))
    rows = [{**dev, 'removed': builder.is_leaving(dev)} for dev in live]
    session.say(*report.device_table(rows, report.balances(live, builder.parts, builder.replicas)))
    return SUCCESS


def ring_state(session: Session, builder: RingBuilder) -> str:
    """How the ring file stands to the builder."""
    name = session.ring_file
    if not os.path.exists(name):
        return f"Ring file {name} not found, probably it hasn't been written yet"
    try:
        data = files.read_ring(name)
    except RingError as error:
        return f'Ring file {name} is invalid: {error}'
    same = builder.rows == data.rows and files.plain(builder.ring_data().devs) == files.plain(data.devs)
    return f'Ring file {name} is {"up-to-date" if same else "obsolete"}'


@command
def search(session: Session) -> int:
    """Show the devices that match."""
    options = session.devices_parser().parse_args(session.arguments)
    if len(options.values) > 1:
        raise UsageError('one search value at a time')
    builder = session.load()
    devs = [dev for wanted, _ in searched(session, options, False) for dev in builder.search(wanted)]
    if not devs:
        session.say('No matching devices found')
        return ERROR
    shares = report.balances(builder.live(), builder.parts, builder.replicas)
    session.say(*report.search_table(devs, shares))
    return SUCCESS


@command
def list_parts(session: Session) -> int:
    """Show the partitions of the devices that match."""
    options = session.devices_parser().parse_args(session.arguments)
    builder = session.load()
    ids = {dev['id'] for wanted, _ in searched(session, options, False) for dev in builder.search(wanted)}
    if not ids:
        session.say('No matching devices found')
        return ERROR
    if not builder.rows:
        raise RingError(f'Specified builder file "{session.builder_file}" is not rebalanced yet. '
                        f'Please rebalance first.')
    session.say('Partition   Matches', *(f'{part:>9}   {count:>7}' for part, count in builder.parts_of(ids)))
    return SUCCESS


@command
def add(session: Session) -> int:
    """Add devices; all of them or none."""
    options = session.devices_parser().parse_args(session.arguments)
    builder = session.load()
    given = described(options)
    asked: list[dict[str, Any]] = []
    if given:
        for name in ('zone', 'ip', 'port', 'device', 'weight'):
            if name not in given:
                raise DeviceError(f'Required argument --{name} not specified.')
        for name in ('ip', 'replication_ip'):
            if name in given:
                given[name] = devices.host(given[name])
        asked.append({'region': 1, 'meta': '', **given})
    elif not options.values or len(options.values) % 2:
        raise UsageError('a weight is needed for each device')
    for text, weight in zip(options.values[::2], options.values[1::2]):
        dev, implied = devices.parse_add(text)
        if implied:
            sys.stderr.write(f'WARNING: No region specified for {text}. Defaulting to region 1.\n')
        asked.append({**dev, 'weight': number(weight)})
    lines = []
    for dev in asked:
        each = builder.add(dev)
        made = builder.get(each)
        lines.append(f'Device {devices.named(made)} with {made["weight"]} weight got id {each}')
    session.save(builder)
    session.say(*lines)
    return SUCCESS


@command
def remove(session: Session) -> int:
    """Let devices go with the next rebalance."""
    options = session.devices_parser().parse_args(session.arguments)
    builder = session.load()
    lines = []
    for wanted, _ in searched(session, options, False):
        devs = found(builder, wanted)
        agreed(session, devs, options.yes, 'remove')
        for dev in devs:
            builder.remove(dev['id'])
            lines.append(f'{devices.named(dev)} marked for removal and will be removed next rebalance.')
    session.save(builder)
    session.say(*lines)
    return SUCCESS


@command
def set_weight(session: Session) -> int:
    """Ask for more or less from devices."""
    return set_each(session, 'weight', number)


@command
def set_region(session: Session) -> int:
    """Say that devices stand in another region."""
    return set_each(session, 'region', whole)


@command
def set_zone(session: Session) -> int:
    """Say that devices stand in another zone."""
    return set_each(session, 'zone', whole)


def set_each(session: Session, key: str, kind: Callable[[str], Any]) -> int:
    """One value for every device of each search."""
    options = session.devices_parser().parse_args(session.arguments)
    builder = session.load()
    lines = []
    for wanted, text in searched(session, options, True):
        value = kind(text)
        devs = found(builder, wanted)
        agreed(session, devs, options.yes, f'update the {key} for')
        for dev in devs:
            if key == 'weight':
                builder.set_weight(dev['id'], value)
            else:
                builder.set_place(dev['id'], key, value)
            lines.append(f'{devices.named(dev)} {key} set to {dev[key]}')
    session.save(builder)
    session.say(*lines)
    return SUCCESS


@command
def set_info(session: Session) -> int:
    """Change addresses, names and meta of devices."""
    options = session.devices_parser(change=True).parse_args(session.arguments)
    builder = session.load()
    changes = described(options, CHANGE_OPTIONS, 'change_')
    if changes:
        if options.values:
            raise UsageError('changes by options or by values')
        orders = [(described(options), changes)]
        if not orders[0][0]:
            raise UsageError('a search is needed')
    else:
        if not options.values or len(options.values) % 2:
            raise UsageError('a change is needed for each search')
        orders = [(devices.parse_search(one), devices.parse_change(two))
                  for one, two in zip(options.values[::2], options.values[1::2])]
    lines = []
    for wanted, change in orders:
        for key in ('ip', 'replication_ip'):
            if key in change:
                change[key] = devices.host(change[key])
        devs = found(builder, wanted)
        agreed(session, devs, options.yes, 'update the info for')
        for dev in devs:
            before = devices.named(dev)
            builder.set_info(dev['id'], change)
            lines.append(f'Device {before} is now {devices.named(dev)}')
    session.save(builder)
    session.say(*lines)
    return SUCCESS


@command
def set_replicas(session: Session) -> int:
    """Change the number of replicas."""
    text = session.single()
    builder = session.load()
    builder.set_replicas(number(text))
    session.save(builder)
    session.say(f'The replica count is now {builder.replicas:.6f}.',
                'The change will take effect after the next rebalance.')
    return SUCCESS


@command
def set_min_part_hours(session: Session) -> int:
    """Change how long a partition stays where it is."""
    hours = whole(session.single())
    if hours < 0:
        raise RingError(f'min_part_hours must be non-negative (was {hours})')
    builder = session.load()
    builder.min_part_hours = hours
    session.save(builder)
    session.say(f'The minimum number of hours before a partition can be reassigned is now set to {hours}')
    return SUCCESS


@command
def set_overload(session: Session) -> int:
    """Change how far dispersion may go before balance."""
    text = session.single()
    overload = number(text.removesuffix('%')) / (100 if text.endswith('%') else 1)
    builder = session.load()
    builder.set_overload(overload)
    session.save(builder)
    if overload > 1:
        session.say('!?! Warning overload is greater than 100% !?!')
    session.say(f'The overload factor is now {overload * 100:.2f}% ({overload:.6f})',
                'The change will take effect after the next rebalance.')
    return WARNING if overload > 1 else SUCCESS


@command
def pretend_min_part_hours_passed(session: Session) -> int:
    """Let partitions move at once."""
    builder = session.load()
    builder.pretend_hours_passed()
    session.save(builder)
    return SUCCESS


def format_options(parser: Parser) -> Parser:
    """Which form the ring file shall have."""
    parser.add_argument('--format-version', type=int, choices=(1, 2), default=1)
    return parser


@command
def rebalance(session: Session) -> int:
    """Assign partitions anew where devices changed, and write the ring."""
    parser = format_options(session.parser())
    parser.add_argument('-f', '--force', action='store_true')
    parser.add_argument('-s', '--seed')
    parser.add_argument('-d', '--debug', action='store_true')
    options = parser.parse_args(session.arguments)
    builder = session.load()
    changed_devs, before = builder.devs_changed, (builder.balance(), builder.dispersion or 0.0)
    try:
        moved, balance, gone = builder.rebalance(options.seed)
    except RingError as error:
        session.say(RULE, 'The ring cannot be rebalanced: it is empty, or has fewer devices than replicas.',
                    f'Original exception message:\n {error}', RULE)
        return ERROR
    if options.debug:
        session.say(*(f'DEBUG: {devices.named(dev)} holds {dev["parts"]}, lacks {dev["parts_wanted"]}'
                      for dev in builder.live()))
    if not moved and not gone and not options.force:
        session.say('No partitions could be reassigned.')
        left = builder.seconds_left()
        session.say(f'The time between rebalances must be at least min_part_hours: {builder.min_part_hours} '
                    f'hours ({datetime.timedelta(seconds=left)} remaining)' if left else
                    'There is no need to do so at this time')
        return WARNING
    gain = max(abs(before[0] - balance), abs(before[1] - builder.dispersion))
    if not options.force and not changed_devs and not gone and gain < WORTH_IT and 100 * moved < builder.parts:
        session.say('Cowardly refusing to save rebalance as it did not change at least 1%.')
        return WARNING
    builder.validate()
    session.say(f'Reassigned {moved} ({100.0 * moved / builder.parts:.2f}%) partitions. '
                f'Balance is now {balance:.2f}.  Dispersion is now {builder.dispersion:.2f}')
    status = advise(session, builder, balance)
    publish(session, builder, options.format_version)
    session.save(builder)
    session.backup(session.builder_file)
    return status


def publish(session: Session, builder: RingBuilder, version: int) -> None:
    """Write the ring file, and a copy of it."""
    files.write_ring(session.ring_file, builder.ring_data(), version)
    session.backup(session.ring_file)


def advise(session: Session, builder: RingBuilder, balance: float) -> int:
    """Say what is left to wish for after a rebalance."""
    if builder.dispersion > 1:
        session.say(RULE, f'NOTE: Dispersion of {builder.dispersion:.6f} indicates some parts are not',
                    '      optimally dispersed.', '',
                    '      Other device weights or a higher overload may help;',
                    '      the dispersion report tells where.', RULE)
        return WARNING
    if balance > UNBALANCED and balance / 100 > builder.overload:
        session.say(RULE, f'NOTE: Balance of {balance:.2f} indicates you should push this',
                    f'      ring, wait at least {builder.min_part_hours} hours, and rebalance/repush.', RULE)
        return WARNING
    return SUCCESS


@command
def validate(session: Session) -> int:
    """Check the assignment."""
    session.load().validate()
    return SUCCESS


@command
def dispersion(session: Session) -> int:
    """Show how well replicas are spread over tiers."""
    parser = session.parser()
    parser.add_argument('--recalculate', action='store_true')
    parser.add_argument('-v', '--verbose', action='store_true')
    parser.add_argument('search', nargs='?')
    options = parser.parse_args(session.arguments)
    builder = session.load()
    if not builder.rows:
        raise RingError(f'Specified builder file "{session.builder_file}" is not rebalanced yet. '
                        f'Please rebalance first.')
    if options.recalculate or not builder.graph or builder.dispersion is None:
        builder.measure()
    if options.recalculate:
        session.save(builder)
    session.say(f'Dispersion is {builder.dispersion:.6f}, Balance is {builder.balance():.6f}, '
                f'Overload is {builder.overload * 100:.2f}%')
    session.say(f'Required overload is {builder.required_overload() * 100:.6f}%')
    try:
        rows = report.crowding(builder.graph, report.maxima(builder.devs, builder.replicas), builder.devs,
                               options.search)
    except report.re.error as error:
        raise RingError(f'{options.search!r} is not a regular expression: {error}') from None
    worst = max(rows, key=lambda row: row[2], default=None)
    if worst and worst[2]:
        session.say(f'Worst tier is {worst[2]:.6f} ({worst[0]})')
    if options.verbose:
        session.say(*report.dispersion_table(rows))
    return WARNING if builder.dispersion > 0 else SUCCESS


@command
def write_ring(session: Session) -> int:
    """Write the ring file as the builder stands."""
    parser = format_options(session.parser())
    parser.add_argument('--dev-id-bytes', type=int, choices=(2, 4))
    options = parser.parse_args(session.arguments)
    data = session.load().ring_data()
    if options.dev_id_bytes and options.format_version == 2:
        data.id_bytes = options.dev_id_bytes
    files.write_ring(session.ring_file, data, options.format_version)
    session.backup(session.ring_file)
    return SUCCESS


@command
def write_builder(session: Session) -> int:
    """Make a builder from the ring file, with what a ring knows."""
    if os.path.exists(session.builder_file):
        session.say(f'Cowardly refusing to overwrite existing Ring Builder file: {session.builder_file}')
        return ERROR
    hours = whole(session.arguments[0]) if session.arguments else 24
    builder = RingBuilder.from_ring(files.read_ring(session.ring_file), hours)
    session.save(builder)
    return SUCCESS


@command
def version(session: Session) -> int:
    """Show the format and the version of the ring file."""
    data = files.read_ring(session.ring_file)
    session.say(f'{session.ring_file}: Serialization version: {data.format_version} '
                f'({data.id_bytes}-byte IDs), build version: {data.version}')
    return SUCCESS


@command
def analyze(session: Session) -> int:
    """Play a scenario of changes and rebalances, and show each round."""
    parser = session.parser()
    parser.add_argument('-c', '--check', action='store_true')
    options = parser.parse_args(session.arguments)
    scenario = ring_analyzer.load(session.builder_file)
    if not options.check:
        for line in ring_analyzer.play(scenario):
            session.say(line)
    return SUCCESS


#: these change the builder file, so one of them at a time
WRITERS = {'create', 'add', 'remove', 'set_weight', 'set_region', 'set_zone', 'set_info', 'set_replicas',
           'set_min_part_hours', 'set_overload', 'pretend_min_part_hours_passed', 'rebalance', 'dispersion',
           'write_builder'}


def run(arguments: list[str]) -> int:
    """The exit status of one call."""
    if not arguments or arguments[0] in ('-h', '--help'):
        sys.stdout.write(ring_usage.everything())
        return SUCCESS
    path, name, *rest = [*arguments, 'default'] if len(arguments) == 1 else arguments
    if path.endswith('.ring.gz'):
        path = path.removesuffix('.ring.gz') + '.builder'
        if name not in ('write_builder', 'version'):
            sys.stdout.write(f'Note: using {path} instead of {arguments[0]} as builder file\n')
    if name not in COMMANDS:
        sys.stdout.write(f'Unknown command: {name}\n')
        return ERROR
    if {'-h', '--help'} & set(rest):
        sys.stdout.write(ring_usage.of(name))
        return SUCCESS
    session = Session(path, name, rest)
    try:
        with alone(path) if name in WRITERS else contextlib.nullcontext():
            return COMMANDS[name](session)
    except UsageError as error:
        sys.stdout.write(f'{ring_usage.of(name)}{error}\n')
    except DeviceError as error:
        tail = '' if 'unchanged' in str(error) else '\nThe on-disk ring builder is unchanged.'
        sys.stdout.write(f'{error}{tail}\n')
    except (RingError, OSError) as error:
        sys.stdout.write(f'{error}\n')
    return ERROR


def main() -> int:
    """The console script."""
    try:
        return run(sys.argv[1:])
    except BrokenPipeError:             # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCESS


if __name__ == '__main__':
    sys.exit(main())
