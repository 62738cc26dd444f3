"""Ports of servers of tests: nobody else is given them, least of all by the kernel."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from strata.testing import ports

ROOT = Path(__file__).parent.parent.parent

MANY = """
from strata.testing import ports
print(*(ports.free_port() for _ in range(700)), flush=True)
input()
"""


def test_processes_beside_each_other_are_given_different_ports_and_none_of_the_kernels():
    runs = [subprocess.Popen([sys.executable, '-c', MANY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, 'PYTHONPATH': str(ROOT)}) for _ in range(2)]
    given = [int(word) for run in runs for word in run.stdout.readline().split()]
    given += [ports.free_port() for _ in range(20)]
    for run in runs:
        run.communicate('\n')      # and their ports are anybody's again
    with open('/proc/sys/net/ipv4/ip_local_port_range') as text:
        first = int(text.read().split()[0])
    assert len(set(given)) == len(given) == 1420
    assert max(given) < first


def test_a_row_leaves_out_what_is_taken():
    before = ports.free_port()
    with socket.create_server(('127.0.0.1', before + 3)):
        row = ports.free_row(7)
    assert not set(range(row, row + 7)) & {before, before + 3}
    assert ports.free_port() >= row + 7
