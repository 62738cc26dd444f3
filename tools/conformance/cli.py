"""The command line: configure Tempest for a cloud, run lists or patterns of tests, say which failed."""

import argparse
import os
import re
import subprocess
import sys

from launcher.settings import Trouble, load

HERE = os.path.dirname(os.path.realpath(__file__))
BIN = os.path.dirname(sys.executable)
#: tests that talk to their servers, which the fake driver only pretends
REAL = r'scenario\.test_(network_(?!qos)|security_groups|server_advanced)'


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    top = argparse.ArgumentParser(prog='tempest', description='Run Tempest against a cloud that onestack made.')
    top.add_argument('--data-dir', required=True, help="the cloud's data directory (default: onestack's)")
    top.add_argument('--all', action='store_true', help='also tests of what this cloud is known not to have')
    top.add_argument('--configure', action='store_true', help='only write the configuration')
    top.add_argument('tests', nargs='*', default=['smoke'], metavar='LOADLIST|REGEX',
                     help='files of test ids, or regular expressions (default: the smoke tests)')
    return top


def absent(fake: bool) -> re.Pattern[str]:
    """What tests are of features that this cloud does not have; ``fake``: nor machines."""
    with open(os.path.join(HERE, 'absent.txt'), encoding='utf-8') as file:
        lines = [line.strip() for line in file] + ([REAL] if fake else [])
    return re.compile('|'.join(f'(?:{line})' for line in lines if line and not line.startswith('#')))


def chosen(workspace: str, wanted: list[str]) -> list[str]:
    """The ids in the load lists, and those that match an expression."""
    ids: list[str] = []
    for word in wanted:
        if os.path.exists(word):
            with open(word, encoding='utf-8') as file:
                ids += [line.strip() for line in file if line.strip() and not line.startswith('#')]
        else:
            said = subprocess.run([os.path.join(BIN, 'tempest'), 'run', '--list-tests', '--regex', word],
                                  cwd=workspace, capture_output=True, text=True, check=False)
            ids += [line for line in said.stdout.splitlines() if line.startswith('tempest.')]
    return list(dict.fromkeys(ids))


def main(argv: list[str] | None = None) -> int:
    """Configure and run; the status is Tempest's."""
    options = parser().parse_args(argv)
    # not at the top: --help is for any Python, and these need Tempest's environment
    from conformance import config
    from launcher.cloud import Cloud
    settings = load(options.data_dir)
    if settings is None:
        print(f'tempest: there is no cloud in {options.data_dir}.', file=sys.stderr)
        return 1
    workspace = os.path.join(options.data_dir, 'tempest', 'workspace')
    if not os.path.exists(os.path.join(workspace, '.stestr.conf')):
        subprocess.run([os.path.join(BIN, 'tempest'), 'init', '--workspace-path',
                        os.path.join(options.data_dir, 'tempest', 'workspaces.yaml'), workspace], check=True)
    try:
        config.write(os.path.join(workspace, 'etc', 'tempest.conf'),
                     config.sections(settings, Cloud(settings, 'admin').login(), workspace))
    except Trouble as trouble:
        print(f'tempest: {trouble}', file=sys.stderr)
        return 1
    if options.configure:
        return 0
    ids = chosen(workspace, options.tests)
    if not ids:
        print(f'tempest: there are no tests of {", ".join(options.tests)}.', file=sys.stderr)
        return 1
    missing = absent(settings.fake)
    left_out = [] if options.all else [id for id in ids if missing.search(id)]
    path = os.path.join(workspace, 'tests.txt')
    with open(path, 'w', encoding='utf-8') as file:
        file.writelines(f'{id}\n' for id in ids if id not in left_out)
    print(f'tempest: {len(ids) - len(left_out)} tests, {len(left_out)} left out (tools/conformance/absent.txt)',
          flush=True)
    if len(ids) == len(left_out):
        return 0
    return subprocess.run([os.path.join(BIN, 'tempest'), 'run', '--load-list', path, '--serial'],
                          cwd=workspace, check=False).returncode
