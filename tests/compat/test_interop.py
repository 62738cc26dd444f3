"""Tempest's interop list for storage on a cloud of onestack's; Tempest has an environment of its own."""

import os
import re
import subprocess
import sys

import pytest

from tests.probe.test_bench import cloud  # noqa: F401  (a fixture)

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIST = os.path.join(CHECKOUT, 'tools', 'conformance', 'interop-storage.txt')

pytestmark = [pytest.mark.probe, pytest.mark.onestack, pytest.mark.timeout(600)]


def test_the_storage_list_passes_whole(cloud):      # noqa: F811
    done = subprocess.run([sys.executable, os.path.join(CHECKOUT, 'tools', 'tempest'), '--data-dir', cloud, LIST],
                          capture_output=True, text=True, timeout=580)
    with open(LIST, encoding='utf-8') as file:
        count = sum(1 for line in file if line.strip())
    counts = dict(re.findall(r'- (Passed|Failed|Skipped): (\d+)', done.stdout))
    assert (counts, done.returncode) == ({'Passed': str(count), 'Failed': '0', 'Skipped': '0'}, 0), done.stdout[-6000:]
