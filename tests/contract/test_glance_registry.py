"""What every implementation of the registry promises: in-process, and over HTTP, on every database."""

import datetime

import pytest

from glance.cmd import registry as daemon
from glance.cmd import wire
from glance.conf import OPTIONS
from glance.db.base import Base
from glance.registry.client import Remote
from glance.registry.interface import Search
from glance.registry.local import Local
from strata import clock, errors, migrate
from strata import conf as configuration
from strata.context import Context, background
from strata.wsgi.server import Server

ALICE = Context(user_id='a', project_id='alice', roles=('member', 'reader'))
BOB = Context(user_id='b', project_id='bob', roles=('member', 'reader'))
ROOT = Context(user_id='r', project_id='admin', roles=('admin',), is_admin=True)
GLANCE = background('glance')


class Keys:
    """An identity service that knows one service's token; a forgotten token is replaced by the good one."""

    auth_uri = 'http://identity.test/v3'

    def __init__(self, held='good', roles=('service',)):
        self.held, self.roles = held, roles

    def token(self):
        return self.held

    def forget(self, token):
        self.held = 'good'

    def validate(self, token):
        if token != 'good':
            raise errors.Unauthorized()
        expires = clock.CLOCK.now() + datetime.timedelta(hours=1)
        return {'user': {'id': 'glance', 'name': 'glance', 'domain': {'id': 'default', 'name': 'Default'}},
                'roles': [{'id': role, 'name': role} for role in self.roles],
                'project': {'id': 'service', 'name': 'service',
                            'domain': {'id': 'default', 'name': 'Default'}},
                'expires_at': clock.iso(expires)}


@pytest.fixture
def db(open_database):
    database = open_database()
    migrate.upgrade(database, wire.MIGRATIONS)
    return database


@pytest.fixture
def serve(db):
    """Serve the registry over HTTP; gives its URL."""
    servers = []

    def start(identity=None):
        conf = configuration.load('glance-registry', OPTIONS, [], files=[])
        wiring = wire.registry_api(conf, identity=identity or Keys(), db=db)
        server = Server(daemon.application(conf, wiring), ('127.0.0.1', 0), access_log=False)
        server.start()
        servers.append(server)
        return f'http://127.0.0.1:{server.port}'
    yield start
    for server in servers:
        server.stop(0)


@pytest.fixture(params=['local', 'remote'])
def registry(request, db, serve):
    return Local(db) if request.param == 'local' else Remote(serve(), Keys())


def new(registry, context=ALICE, **values):
    properties, tags = values.pop('properties', {}), values.pop('tags', [])
    return registry.create(context, properties=properties, tags=tags, values={
        'id': clock.new_uuid(), 'owner': context.project_id, 'visibility': 'shared', 'name': 'disk',
        'disk_format': 'raw', 'container_format': 'bare', **values})


def written(registry, image, **values):
    blob = registry.begin(ALICE, image.id, store='file', purpose='data', lease=60)
    return registry.finish(ALICE, blob.id, size=4, values={'checksum': 'c' * 32, **values})


def test_the_migrated_database_is_what_the_models_say(db):
    assert migrate.differences(db, Base.metadata) == []


def test_an_image_is_kept_as_it_was_given(registry):
    image = new(registry, properties={'a': 'ä', 'kernel_id': None}, tags=['y', 'x'], min_ram=512)
    again = registry.get(ALICE, image.id)
    assert again == image
    assert (again.status, again.properties, again.tags, again.min_ram) == (
        'queued', {'a': 'ä', 'kernel_id': None}, ['x', 'y'], 512)


def test_an_id_is_used_once_even_after_deletion(registry):
    image = new(registry)
    with pytest.raises(errors.Conflict):
        new(registry, id=image.id)
    registry.delete(ALICE, image.id)
    with pytest.raises(errors.Conflict):
        new(registry, id=image.id)


def test_a_private_image_does_not_exist_for_others(registry):
    image = new(registry, visibility='private')
    with pytest.raises(errors.NotFound):
        registry.get(BOB, image.id)
    with pytest.raises(errors.NotFound):
        registry.update(BOB, image.id, values={'name': 'mine'})
    assert registry.get(ROOT, image.id).id == image.id


def test_attributes_properties_and_tags_change_together(registry):
    image = new(registry, properties={'keep': '1', 'drop': '2', 'change': '3'}, tags=['old'])
    changed = registry.update(ALICE, image.id, values={'name': 'new', 'min_disk': 3}, removed=['drop'],
                              properties={'change': '4', 'add': '5'}, tags=['new', 'newer'])
    assert changed.properties == {'keep': '1', 'change': '4', 'add': '5'}
    assert (changed.name, changed.min_disk, changed.tags) == ('new', 3, ['new', 'newer'])


def test_an_expectation_that_fails_changes_nothing(registry):
    image = new(registry)
    with pytest.raises(errors.Conflict):
        registry.update(ALICE, image.id, values={'name': 'x'}, tags=['t'], expect={'status': 'active'})
    assert registry.get(ALICE, image.id) == image


def test_limits_hold_and_leave_the_image_as_it_was(registry):
    image = new(registry, properties={'a': '1'})
    for change in ({'properties': {'b': '2', 'c': '3'}}, {'tags': ['1', '2', '3']}):
        with pytest.raises(errors.TooLarge):
            registry.update(ALICE, image.id, limits={'properties': 2, 'tags': 2}, **change)
    registry.add_tag(ALICE, image.id, 'one', 1)
    registry.add_tag(ALICE, image.id, 'one', 1)
    with pytest.raises(errors.TooLarge):
        registry.add_tag(ALICE, image.id, 'two', 1)
    left = registry.get(ALICE, image.id)
    assert left.properties == {'a': '1'} and left.tags == ['one']


def test_a_tag_that_is_not_there_cannot_be_removed(registry):
    image = new(registry, tags=['a/b', 'c'])
    registry.remove_tag(ALICE, image.id, 'a/b')
    with pytest.raises(errors.NotFound):
        registry.remove_tag(ALICE, image.id, 'a/b')
    assert registry.get(ALICE, image.id).tags == ['c']


def test_members_see_a_shared_image(registry):
    image = new(registry)
    with pytest.raises(errors.NotFound):
        registry.get(BOB, image.id)
    member = registry.add_member(ALICE, image.id, 'bob', 5)
    assert member.status == 'pending' and registry.get(BOB, image.id).member_id == 'bob'
    assert registry.search(BOB, Search()) == []
    assert [found.id for found in registry.search(BOB, Search(member_status='pending'))] == [image.id]
    assert registry.set_member(BOB, image.id, 'bob', 'accepted').status == 'accepted'
    assert [found.id for found in registry.search(BOB, Search())] == [image.id]
    with pytest.raises(errors.Conflict):
        registry.add_member(ALICE, image.id, 'bob', 5)
    with pytest.raises(errors.TooLarge):
        registry.add_member(ALICE, image.id, 'carol', 1)
    assert [each.member_id for each in registry.members(ALICE, image.id)] == ['bob']
    registry.remove_member(ALICE, image.id, 'bob')
    with pytest.raises(errors.NotFound):
        registry.member(ALICE, image.id, 'bob')
    with pytest.raises(errors.NotFound):
        registry.get(BOB, image.id)


def test_pages_neither_skip_nor_repeat(registry):
    names = ['b', 'a', 'c', None, 'a']
    for name in names:
        new(registry, name=name)
    seen, marker = [], None
    order = [['name', 'asc'], ['id', 'desc']]
    while page := registry.search(ALICE, Search(sorts=order, marker=marker, limit=2)):
        seen += [image.name for image in page]
        marker = page[-1].id
    assert seen == [None, 'a', 'a', 'b', 'c']
    with pytest.raises(errors.Invalid):
        registry.search(ALICE, Search(marker='nobody'))


def test_conditions_are_all_held(registry):
    one = new(registry, name='one', properties={'os': 'x'}, tags=['t', 'u'])
    two = new(registry, name='two', properties={'os': 'y'}, tags=['t'])

    def ids(**search):
        return {image.id for image in registry.search(ALICE, Search(**search))}
    assert ids(conditions=[['name', 'in', ['one', 'two']]]) == {one.id, two.id}
    assert ids(conditions=[['name', 'eq', 'one']], properties={'os': 'y'}) == set()
    assert ids(properties={'os': 'y'}) == {two.id}
    assert ids(tags=['t']) == {one.id, two.id} and ids(tags=['t', 'u']) == {one.id}
    assert ids(conditions=[['created_at', 'lte', one.created_at]]) == {one.id}
    assert ids(conditions=[['created_at', 'gt', one.created_at]]) == {two.id}


def test_data_makes_an_image_active(registry):
    image = new(registry)
    blob = registry.begin(ALICE, image.id, store='file', purpose='data', lease=60, size=4)
    assert registry.get(ALICE, image.id).status == 'saving'
    with pytest.raises(errors.Conflict):
        registry.begin(ALICE, image.id, store='file', purpose='data', lease=60)
    registry.renew(ALICE, blob.id, 60)
    done = registry.finish(ALICE, blob.id, size=4, values={'checksum': 'c' * 32, 'virtual_size': 9})
    assert (done.status, done.size, done.virtual_size, done.checksum) == ('active', 4, 9, 'c' * 32)
    assert done.blob == {'id': blob.id, 'store': 'file', 'size': 4}
    assert registry.abandon(ALICE, blob.id) is False
    assert registry.get(ALICE, image.id).status == 'active'


def test_an_abandoned_attempt_leaves_the_image_queued(registry):
    image = new(registry)
    blob = registry.begin(ALICE, image.id, store='file', purpose='data', lease=60, size=4)
    assert registry.abandon(ALICE, blob.id) is True
    back = registry.get(ALICE, image.id)
    assert (back.status, back.size) == ('queued', None)
    assert [doomed.id for doomed in registry.doomed(GLANCE)] == [blob.id]
    registry.forget(GLANCE, blob.id)
    assert registry.doomed(GLANCE) == [] and registry.abandon(ALICE, blob.id) is True


def test_a_writer_whose_lease_ran_out_is_fenced(registry):
    image = new(registry)
    late = registry.begin(ALICE, image.id, store='file', purpose='data', lease=-1)
    alive = registry.begin(ALICE, new(registry).id, store='file', purpose='data', lease=60)
    assert registry.expire(GLANCE) == 1 and registry.expire(GLANCE) == 0
    successor = registry.begin(ALICE, image.id, store='file', purpose='data', lease=60)
    with pytest.raises(errors.Fenced):
        registry.renew(ALICE, late.id, 60)
    with pytest.raises(errors.Fenced):
        registry.finish(ALICE, late.id, size=1)
    registry.abandon(ALICE, late.id)
    assert registry.get(ALICE, image.id).status == 'saving'
    assert registry.finish(ALICE, successor.id, size=4).blob['id'] == successor.id
    registry.renew(ALICE, alive.id, 60)


def test_deleting_dooms_the_data_even_of_an_upload_under_way(registry):
    image = written(registry, new(registry, tags=['t'], properties={'a': '1'}))
    busy = new(registry)
    blob = registry.begin(ALICE, busy.id, store='file', purpose='data', lease=60)
    for each in (image, busy):
        registry.delete(ALICE, each.id)
        with pytest.raises(errors.NotFound):
            registry.get(ROOT, each.id)
    assert {doomed.image_id for doomed in registry.doomed(GLANCE)} == {image.id, busy.id}
    with pytest.raises(errors.Fenced):
        registry.finish(ALICE, blob.id, size=1)
    with pytest.raises(errors.NotFound):
        registry.delete(ALICE, image.id)


def test_a_protected_image_cannot_be_deleted(registry):
    image = new(registry, protected=True)
    with pytest.raises(errors.Forbidden, match='protected'):
        registry.delete(ALICE, image.id)
    assert registry.get(ALICE, image.id).status == 'queued'


def test_an_import_that_dies_can_be_asked_for_again(registry):
    image = new(registry)
    stage = registry.begin(ALICE, image.id, store='file', purpose='stage', lease=60)
    assert registry.get(ALICE, image.id).status == 'uploading'
    with pytest.raises(errors.Conflict):
        registry.staged(ALICE, image.id)
    registry.finish(ALICE, stage.id, size=4)
    assert registry.staged(ALICE, image.id).id == stage.id
    registry.begin(ALICE, image.id, store='file', purpose='data', lease=-1)
    assert registry.get(ALICE, image.id).status == 'importing'
    registry.expire(GLANCE)
    assert registry.get(ALICE, image.id).status == 'uploading'
    data = registry.begin(ALICE, image.id, store='file', purpose='data', lease=60)
    assert registry.finish(ALICE, data.id, size=4).status == 'active'
    assert stage.id in [doomed.id for doomed in registry.doomed(GLANCE)]


def test_refused_staged_data_puts_the_image_back_to_queued(registry):
    image = new(registry)
    stage = registry.begin(ALICE, image.id, store='file', purpose='stage', lease=60)
    registry.finish(ALICE, stage.id, size=4)
    data = registry.begin(ALICE, image.id, store='file', purpose='data', lease=60)
    assert registry.abandon(ALICE, data.id, fully=True) is True
    assert registry.get(ALICE, image.id).status == 'queued'
    assert {doomed.id for doomed in registry.doomed(GLANCE)} == {stage.id, data.id}


def test_glance_registry_serves_services_only(serve):
    remote = Remote(serve(Keys(roles=('member', 'reader'))), Keys())
    with pytest.raises((errors.BadGateway, errors.Forbidden)):
        remote.search(ROOT, Search())


def test_a_refused_token_is_renewed_once(serve):
    assert Remote(serve(), Keys(held='stale')).search(ROOT, Search()) == []


def test_a_registry_that_is_away_is_unavailable():
    from strata.testing.ports import free_port
    with pytest.raises(errors.Unavailable):
        Remote(f'http://127.0.0.1:{free_port()}', Keys()).search(ROOT, Search())
