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
import gc
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

#: the layers of swift, which has storage servers in place of workers: a module may import from its own part of
#: a layer, and from layers further down
SWIFT_LAYERS = [
    {'swift.cmd', 'swift.cli'},
    {'swift.server'},
    {'swift.middleware', 'swift.account', 'swift.container', 'swift.obj'},
    {'swift.internal_client', 'swift.proxy'},
    {'swift.direct', 'swift.daemon', 'swift.pipeline'},
    {'swift.db'},
    {'swift.storage'},
    {'swift.ring', 'swift.constraints', 'swift.policies', 'swift.realms', 'swift.recon', 'swift.statsd'},
    {'swift.http'},
    {'swift.conf', 'swift.timestamp'},
]
#: what the storage servers share among them is not for the proxy, nor the proxy for them; filters ask the proxy
#: what it knows of accounts and containers
SWIFT_APART = [
    ({'swift.proxy', 'swift.middleware', 'swift.internal_client'}, {'swift.db', 'swift.storage'}),
    ({'swift.account', 'swift.container', 'swift.obj'}, {'swift.proxy', 'swift.middleware'}),
]

#: libraries that only some places may import, and why
CONFINED = {
    'eventlet': (('strata.green', 'strata.hub', 'strata.wsgi.server', 'strata.service'), 'so that it can be replaced'),
    'greenlet': (('strata.green', 'strata.hub'), 'so that it can be replaced'),
    'kombu': (('strata.rpc.amqp',), 'one host does without it'),
    'amqp': (('strata.rpc.amqp',), 'one host does without it'),
    'pyroute2': (('nova.network.host',), 'it runs an asyncio loop; two greenlets at once fail'),
    'libvirt': (('nova.virt.libvirt',), 'hosts without it must start'),
    'httptools': (('strata.wsgi', 'strata.backend'), 'there is one HTTP server, and one fast client'),
}

#: files of more than 600 lines, each with its reason
LONG: dict[str, str] = {
    'tests/contract/test_bus.py': 'one contract, for two buses',
    'tests/functional/test_wsgi_server.py': 'one server, and all it promises, in one place',
}

#: names that a module must not have: a noun is missing
NAMELESS = {'utils', 'util', 'helpers', 'common', 'misc'}

#: import name -> distribution, where metadata is no help
OPTIONAL = {'libvirt', 'libvirt_qemu', 'dns'}


def sources(*packages):
    return sorted(path for package in packages for path in (ROOT / package).rglob('*.py'))


def dotted(path):
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


@functools.cache
def text(path):
    return path.read_text(encoding='utf-8')


@functools.cache
def tree(path):
    return ast.parse(text(path), str(path))


@pytest.fixture(scope='module', autouse=True)
def _trees():
    """A million nodes, kept while they are looked at; the garbage collector would walk through them for nothing."""
    gc.disable()
    yield
    tree.cache_clear()
    gc.enable()


def statements(node):
    """Every statement below a node, however deep; no expressions, which are most of a tree."""
    for part in ('body', 'orelse', 'finalbody', 'handlers', 'cases'):
        for each in getattr(node, part, ()):
            yield each
            yield from statements(each)


@functools.cache
def imports(path):
    """Every name that a file imports, absolute; ``from a import b`` counts as ``a.b``."""
    found = set()
    package = dotted(path) if path.name == '__init__.py' else dotted(path).rpartition('.')[0]
    for node in statements(tree(path)):
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


def offences(paths, wrong):
    """What is wrong, by file; empty files and files without fault are left out."""
    found = {str(path.relative_to(ROOT)): wrong(path) for path in paths}
    return {name: each for name, each in found.items() if each}


def test_the_ground_floor_imports_no_service():
    assert not offences(sources('strata'), lambda path: [
        name for name in imports(path) if name.split('.')[0] in SERVICES])


@pytest.mark.parametrize('service', SERVICES)
def test_services_never_import_each_other(service):
    others = set(SERVICES) - {service}
    assert not offences(sources(service), lambda path: [
        name for name in imports(path) if name.split('.')[0] in others])


def swift_layer(name):
    """(how deep, which part) of a module of swift."""
    return next(((depth, part) for depth, parts in enumerate(SWIFT_LAYERS) for part in parts if below(name, part)),
                (None, None))


def test_imports_point_downwards_in_swift():
    def upwards(path):
        here = dotted(path)
        depth, part = swift_layer(here)
        assert depth is not None, f'{here} stands in no layer'
        wrong = []
        for name in sorted({module_of(name) for name in imports(path)} - {None, here, 'swift'}):
            if below(name, 'strata'):
                continue
            other, other_part = swift_layer(name)
            apart = any(part in ours and other_part in theirs for ours, theirs in SWIFT_APART)
            if other < depth or (other == depth and other_part != part and depth in (2, 3)) or apart:
                wrong.append(name)
        return wrong
    assert not offences([path for path in sources('swift') if dotted(path) != 'swift'], upwards)


@pytest.mark.parametrize('service', sorted(set(SERVICES) - {'swift'}))
def test_imports_point_downwards(service):
    def upwards(path):
        here, own = dotted(path), role(dotted(path))
        targets = {module_of(name) for name in imports(path)} - {None, here, service}
        return [f'{own} -> {name} ({role(name)})' for name in sorted(targets)
                if not below(name, 'strata') and role(name) not in MAY_IMPORT[own] | {own}]
    assert not offences([path for path in sources(service) if dotted(path) != service], upwards)


def test_drivers_know_no_database_no_bus_and_no_api():
    unknown = ('strata.db', 'strata.rpc', 'strata.rest', 'strata.journal', 'strata.flow', 'strata.context',
               'sqlalchemy')
    drivers = [path for path in sources(*SERVICES) if role(dotted(path)) == 'driver']
    assert drivers
    assert not offences(drivers, lambda path: [
        name for name in imports(path) if any(below(name, each) for each in unknown)])


def test_networks_and_volumes_do_not_know_compute():
    assert not offences(sources('nova/network', 'nova/volume'), lambda path: [
        name for name in imports(path) if below(name, 'nova.compute') or below(name, 'nova.scheduler')])


def test_nothing_but_tests_imports_what_is_for_tests():
    paths = [path for path in sources('strata', *SERVICES) if not below(dotted(path), 'strata.testing')]
    assert not offences(paths, lambda path: [
        name for name in imports(path) if below(name, 'strata.testing') or below(name, 'tests')])


@pytest.mark.parametrize('library', CONFINED)
def test_a_confined_library_is_imported_in_its_places_only(library):
    places, reason = CONFINED[library]
    outside = [path for path in sources('strata', *SERVICES)
               if not any(below(dotted(path), place) for place in places)]
    assert not offences(outside, lambda path: [
        name for name in imports(path) if below(name, library)]), reason


def lines(path):
    return len(text(path).splitlines())


def test_a_file_can_be_read_in_one_sitting():
    paths = [path for path in sources('strata', *SERVICES, 'tests', 'tools')
             if str(path.relative_to(ROOT)) not in LONG]
    assert not offences(paths, lambda path: lines(path) if lines(path) > 600 else 0)


def test_no_reason_is_given_for_a_file_that_is_short():
    assert not [name for name in LONG if not (ROOT / name).exists() or lines(ROOT / name) <= 600]


def test_a_module_is_named_for_a_noun():
    assert not offences(sources('strata', *SERVICES, 'tools'),
                        lambda path: NAMELESS.intersection(dotted(path).split('.')))


def test_a_module_opens_with_a_sentence():
    assert not offences(sources('strata', *SERVICES, 'tools', 'tests'),
                        lambda path: lines(path) and not ast.get_docstring(tree(path)))


def test_library_code_does_not_print():
    paths = [path for path in sources('strata', *SERVICES) if role(dotted(path)) != 'cmd']
    assert not offences(paths, lambda path: [
        node.lineno for node in (ast.walk(tree(path)) if 'print' in text(path) else ())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'print'])


def test_nothing_is_left_for_later():
    assert not offences(sources('strata', *SERVICES, 'tools'), lambda path: [
        word for word in ('TODO', 'FIXME', 'XXX', 'raise NotImplementedError')
        if word in text(path)])


def test_who_opens_a_transaction_does_it_again_after_a_deadlock():
    """MariaDB and PostgreSQL end one of two transactions that wait for each other: no reason for a 503."""
    def once(path):
        return [node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)
                and 'with wiring.db.transaction()' in ast.unparse(node)
                and '.db.retried(' not in ast.unparse(node)
                and 'retried' not in map(ast.unparse, node.decorator_list)]
    assert not offences([path for path in sources('keystone', 'glance', 'nova')
                         if role(dotted(path)) == 'domain'], once)


def test_a_daemon_patches_before_it_imports_anything_else():
    """The network helper is the one that must not be patched: pyroute2 brings a loop of its own."""
    def unpatched(path):
        first = [ast.unparse(node) for node in tree(path).body
                 if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))][:2]
        return first != ['from strata import green', 'green.patch()']
    mains = [path for path in sources(*SERVICES)
             if role(dotted(path)) == 'cmd' and any(isinstance(node, ast.FunctionDef) and node.name == 'main'
                                                    for node in tree(path).body)]
    helpers = [path for path in mains if path.stem == 'net_helper']
    assert not offences([path for path in mains if path not in helpers], unpatched)
    assert not offences(helpers, lambda path: 'patch()' in text(path))


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
