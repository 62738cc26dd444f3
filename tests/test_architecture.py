"""The architecture, as assertions: the tree is the diagram, and imports point downwards.

Every module of a service has a role, told by its path.  ``MAY_IMPORT`` is the
drawing::

    front side    cmd -> api -> domain -> rpc contract -> db -> strata
    worker side   cmd -> worker -> driver -> strata
                           \\-> domain, rpc contract, db -> strata

Beside these, ``assembly`` puts applications together, ``wiring`` is what one
process hands around (configuration, database, bus), and ``plain`` are values
and mechanisms that know nothing but strata.
"""

import ast
import functools
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVICES = ('keystone', 'glance', 'nova', 'swift', 'horizon')

#: role -> the roles it may import, beside its own and strata
MAY_IMPORT = {
    'cmd': {'assembly', 'api', 'worker', 'domain', 'driver', 'rpc', 'db', 'wiring', 'plain'},
    'assembly': {'api', 'domain', 'rpc', 'db', 'wiring', 'plain'},
    'api': {'domain', 'rpc', 'db', 'wiring', 'plain'},
    'worker': {'domain', 'driver', 'rpc', 'db', 'wiring', 'plain'},
    'domain': {'rpc', 'db', 'wiring', 'plain'},
    'rpc': {'wiring', 'plain'},
    'wiring': {'db', 'plain'},
    'db': {'plain'},
    'driver': {'plain'},
    'plain': set(),
}

#: what a part of a module's path says about its role; the first that fits
ROLES = [
    ('cmd', {'cmd'}),
    ('assembly', {'pipeline', 'pipelines'}),
    ('plain', {'glance.stores.interface', 'glance.registry.interface', 'keystone.token.keys',
               'nova.network.drivers.state'}),
    ('driver', {'drivers', 'stores', 'nova.virt', 'nova.network.host', 'nova.network.helper',
                'nova.network.wire'}),
    ('worker', {'manager', 'flows', 'reconcile', 'recover', 'nova.compute.job'}),
    ('rpc', {'rpc'}),
    ('db', {'db'}),
    ('wiring', {'conf', 'wiring', 'keystone.memory'}),
    ('api', {'api', 'glance.registry.app'}),
]

#: libraries that only some places may import, and why
CONFINED = {
    'eventlet': (('strata.green', 'strata.wsgi.server', 'strata.service'), 'so that it can be replaced'),
    'greenlet': (('strata.green',), 'so that it can be replaced'),
    'kombu': (('strata.rpc.amqp',), 'one host does without it'),
    'amqp': (('strata.rpc.amqp',), 'one host does without it'),
    'pyroute2': (('nova.network.host',), 'it runs an asyncio loop; two greenlets at once fail'),
    'libvirt': (('nova.virt.libvirt',), 'hosts without it must start'),
    'httptools': (('strata.wsgi',), 'there is one HTTP server'),
}

#: files of more than 600 lines, each with its reason
LONG: dict[str, str] = {
    'tests/functional/test_wsgi_server.py': 'one server, and all it promises, in one place',
}

#: names that a module must not have: a noun is missing
NAMELESS = {'utils', 'util', 'helpers', 'common', 'misc'}

#: import name -> distribution, where metadata is no help
OPTIONAL = {'libvirt', 'libvirt_qemu'}


def sources(*packages):
    return sorted(path for package in packages for path in (ROOT / package).rglob('*.py'))


def dotted(path):
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding='utf-8'), str(path))


@functools.cache
def imports(path):
    """Every name that a file imports, absolute; ``from a import b`` counts as ``a.b``."""
    found = set()
    package = dotted(path) if path.name == '__init__.py' else dotted(path).rpartition('.')[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                parts = package.split('.')
                base = '.'.join(parts[:len(parts) - node.level + 1] + ([base] if base else []))
            found.update(f'{base}.{alias.name}' for alias in node.names)
    return frozenset(found)


def below(name, prefix):
    return name == prefix or name.startswith(prefix + '.')


def role(name):
    """The role of a service's module; names imported from it have the same."""
    parts = set(name.split('.')[1:])
    for candidate, marks in ROLES:
        if any(below(name, mark) if '.' in mark else mark in parts for mark in marks):
            return candidate
    return 'domain'


@functools.cache
def modules():
    return {dotted(path) for path in sources('strata', *SERVICES)}


def module_of(name):
    """The module of ours that an imported name stands in, or ``None``."""
    while name:
        if name in modules():
            return name
        name = name.rpartition('.')[0]
    return None


def identify(path):
    return dotted(path)


@pytest.mark.parametrize('path', sources('strata'), ids=identify)
def test_the_ground_floor_imports_no_service(path):
    assert not [name for name in imports(path) if name.split('.')[0] in SERVICES]


@pytest.mark.parametrize('path', sources(*SERVICES), ids=identify)
def test_services_never_import_each_other(path):
    own = dotted(path).split('.')[0]
    assert not [name for name in imports(path) if name.split('.')[0] in set(SERVICES) - {own}]


@pytest.mark.parametrize('path', sources(*SERVICES), ids=identify)
def test_imports_point_downwards(path):
    here = dotted(path)
    if here in SERVICES:
        return
    own = role(here)
    targets = {module_of(name) for name in imports(path)} - {None, here, here.split('.')[0]}
    upwards = sorted(name for name in targets
                     if not below(name, 'strata') and role(name) not in MAY_IMPORT[own] | {own})
    assert not upwards, f'{here} is {own}, which may import {sorted(MAY_IMPORT[own])}'


@pytest.mark.parametrize('path', [path for path in sources(*SERVICES) if role(dotted(path)) == 'driver'],
                         ids=identify)
def test_drivers_know_no_database_no_bus_and_no_api(path):
    unknown = ('strata.db', 'strata.rpc', 'strata.rest', 'strata.journal', 'strata.flow', 'strata.context',
               'sqlalchemy')
    assert not [name for name in imports(path) if any(below(name, each) for each in unknown)]


@pytest.mark.parametrize('path', sources('nova/network', 'nova/volume'), ids=identify)
def test_networks_and_volumes_do_not_know_compute(path):
    assert not [name for name in imports(path)
                if below(name, 'nova.compute') or below(name, 'nova.scheduler')]


@pytest.mark.parametrize('path', [path for path in sources('strata', *SERVICES)
                                  if not below(dotted(path), 'strata.testing')], ids=identify)
def test_nothing_but_tests_imports_what_is_for_tests(path):
    assert not [name for name in imports(path) if below(name, 'strata.testing') or below(name, 'tests')]


@pytest.mark.parametrize('library', CONFINED)
def test_a_confined_library_is_imported_in_its_places_only(library):
    places, reason = CONFINED[library]
    others = [dotted(path) for path in sources('strata', *SERVICES)
              if any(below(name, library) for name in imports(path))
              and not any(below(dotted(path), place) for place in places)]
    assert not others, reason


@pytest.mark.parametrize('path', sources('strata', *SERVICES, 'tests'), ids=identify)
def test_a_file_can_be_read_in_one_sitting(path):
    name = str(path.relative_to(ROOT))
    lines = len(path.read_text(encoding='utf-8').splitlines())
    assert lines <= 600 or name in LONG, f'{lines} lines'


def test_no_reason_is_given_for_a_file_that_is_short():
    assert not [name for name in LONG
                if not (ROOT / name).exists() or len((ROOT / name).read_text().splitlines()) <= 600]


@pytest.mark.parametrize('path', sources('strata', *SERVICES), ids=identify)
def test_a_module_is_named_for_a_noun_and_opens_with_a_sentence(path):
    assert not NAMELESS.intersection(dotted(path).split('.'))
    if path.read_text(encoding='utf-8').strip():
        assert ast.get_docstring(tree(path)), 'no docstring'


@pytest.mark.parametrize('path', [path for path in sources('strata', *SERVICES) if '/cmd/' not in str(path)],
                         ids=identify)
def test_library_code_does_not_print(path):
    assert not [node.lineno for node in ast.walk(tree(path))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'print']


@pytest.mark.parametrize('path', sources('strata', *SERVICES, 'tools'), ids=identify)
def test_nothing_is_left_for_later(path):
    text = path.read_text(encoding='utf-8')
    assert not [word for word in ('TODO', 'FIXME', 'XXX', 'raise NotImplementedError') if word in text]


@pytest.mark.parametrize('path', [path for path in sources(*SERVICES)
                                  if role(dotted(path)) == 'cmd' and 'def main(' in path.read_text()],
                         ids=identify)
def test_a_daemon_patches_before_it_imports_anything_else(path):
    """The network helper is the one that must not be patched: pyroute2 brings a loop of its own."""
    if path.stem == 'net_helper':
        assert 'patch()' not in path.read_text()
        return
    first = [node for node in tree(path).body
             if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))][:2]
    assert [ast.unparse(node) for node in first] == ['from strata import green', 'green.patch()']


def requirements():
    """The names of the distributions that setup.py requires."""
    words = {node.arg: node.value for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
             if isinstance(node, ast.keyword)}
    return {re.split(r'[<>=\[]', requirement)[0].lower().replace('_', '-')
            for requirement in ast.literal_eval(words['install_requires'])}


def test_every_library_we_import_is_required_by_setup():
    distributions = metadata.packages_distributions()
    wanted = {name.split('.')[0] for path in sources('strata', *SERVICES)
              if not below(dotted(path), 'strata.testing') for name in imports(path)}
    ours = {'strata', *SERVICES, *OPTIONAL, *sys.stdlib_module_names}
    required = requirements()
    missing = sorted(name for name in wanted - ours
                     if not required.intersection(each.lower().replace('_', '-')
                                                  for each in distributions.get(name, [name])))
    assert not missing


def test_no_two_modules_import_each_other_in_a_circle():
    """Counts imports at the top of a module; one inside a function is late on purpose."""
    graph = {}
    for path in sources('strata', *SERVICES):
        here = dotted(path)
        names = {module_of(f'{node.module}.{alias.name}') for node in tree(path).body
                 if isinstance(node, ast.ImportFrom) and not node.level for alias in node.names}
        names |= {module_of(alias.name) for node in tree(path).body if isinstance(node, ast.Import)
                  for alias in node.names}
        # a package imports its parts by design, and they may use what it has defined before
        graph[here] = {name for name in names - {None, here} if not below(here, name)}
    assert not circles(graph)


def circles(graph):
    """Strongly connected components of more than one module (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in graph.get(name, ()):
            if target not in index:
                visit(target)
            if target in stack:
                low[name] = min(low[name], low[target])
        if low[name] == index[name]:
            component = [stack.pop()]
            while component[-1] != name:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))
    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found
