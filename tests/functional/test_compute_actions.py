"""Actions on servers, and the log of them."""

import pytest

from nova.db.servers import fault
from nova.virt.driver import Unbuildable
from nova.virt.libvirt.connection import Refused
from strata.testing import wait
from tests.functional.nova_cloud import running


@pytest.fixture
def cloud(tmp_path):
    with running(tmp_path) as made:
        yield made


@pytest.mark.parametrize('actions, status', [
    ([('os-stop', None, 'SHUTOFF'), ('os-start', None, 'ACTIVE')], 'ACTIVE'),
    ([('pause', None, 'PAUSED'), ('unpause', None, 'ACTIVE')], 'ACTIVE'),
    ([('suspend', {}, 'SUSPENDED'), ('resume', None, 'ACTIVE')], 'ACTIVE'),
    ([('reboot', {'type': 'SOFT'}, 'ACTIVE'), ('reboot', {'type': 'hard'}, 'ACTIVE')], 'ACTIVE'),
    ([('os-stop', None, 'SHUTOFF'), ('reboot', {'type': 'HARD'}, 'ACTIVE')], 'ACTIVE'),
])
def test_verbs_lead_where_they_should(cloud, actions, status):
    id = cloud.server(wait_for='ACTIVE')
    for action, arguments, then in actions:
        cloud.act(id, action, arguments)
        cloud.wiring.bus.drain(10)
        cloud.await_status(id, then)
    assert cloud.show(id)['OS-EXT-STS:task_state'] is None


@pytest.mark.parametrize('action, arguments', [
    ('os-start', None), ('unpause', None), ('resume', None)])
def test_a_verb_in_the_wrong_state_is_a_conflict(cloud, action, arguments):
    id = cloud.server(wait_for='ACTIVE')
    answer = cloud.act(id, action, arguments, 409)
    assert 'active' in answer.message
    assert cloud.show(id)['OS-EXT-STS:task_state'] is None


@pytest.mark.parametrize('body', [
    {'reboot': {'type': 'GENTLY'}}, {'reboot': {}}, {'reboot': None}, {'reboot': {'type': 'SOFT', 'force': True}},
    {'os-stop': {'now': True}}, {'os-stop': 'now'}, {'fly': None}, {}, [], {'os-stop': None, 'os-start': None},
    {'os-getConsoleOutput': {'length': 'all'}}, {'os-getConsoleOutput': {'length': -5}},
    {'os-getConsoleOutput': {'lines': 3}}, {'lock': {'locked_reason': 'early'}},
])
def test_a_bad_action_is_refused_and_does_nothing(cloud, body):
    id = cloud.server(wait_for='ACTIVE')
    assert cloud.call('POST', f'/servers/{id}/action', body).status == 400
    shown = cloud.show(id)
    assert (shown['status'], shown['OS-EXT-STS:task_state']) == ('ACTIVE', None)


def test_the_console_is_read_from_its_end(cloud):
    id = cloud.server(wait_for='ACTIVE')
    whole = cloud.act(id, 'os-getConsoleOutput', {}, 200).json['output']
    assert whole
    for length in (1, '1'):
        last = cloud.act(id, 'os-getConsoleOutput', {'length': length}, 200).json['output']
        assert last == whole.split('\n')[-1]
    assert cloud.act(id, 'os-getConsoleOutput', {'length': None}, 200).json['output'] == whole
    assert cloud.act(id, 'os-getConsoleOutput', {'length': 0}, 200).json['output'] == ''


def test_a_locked_server_obeys_admins_only(cloud):
    id = cloud.server(wait_for='ACTIVE')
    cloud.act(id, 'lock', {'locked_reason': 'mine'}, version='2.73')
    shown = cloud.show(id, '2.73')
    assert shown['locked'] is True and shown['locked_reason'] == 'mine'
    cloud.act(id, 'os-stop', None, 409)
    assert cloud.call('DELETE', f'/servers/{id}').status == 409
    assert cloud.call('POST', f'/servers/{id}/metadata', {'metadata': {'a': 'b'}}).status == 409
    assert cloud.get('/servers?locked=true', version='2.73')['servers'][0]['id'] == id
    cloud.act(id, 'os-stop', None, who='admin')
    cloud.await_status(id, 'SHUTOFF')
    cloud.act(id, 'unlock')
    assert cloud.show(id, '2.9')['locked'] is False
    cloud.act(id, 'lock', {}, 400, version='2.73')
    cloud.act(id, 'lock', {})      # as clients also say it
    cloud.act(id, 'unlock')
    cloud.act(id, 'lock', None, who='admin', project='admin')
    cloud.act(id, 'unlock', None, 403)
    cloud.act(id, 'unlock', None, who='admin')


def test_a_delete_by_force_is_a_delete_and_nothing_is_there_to_restore(cloud):
    id = cloud.server()
    cloud.await_status(id, 'ACTIVE')
    cloud.act(id, 'restore', None, 409)
    cloud.act(id, 'forceDelete', {})
    wait.until(lambda: cloud.call('GET', f'/servers/{id}').status == 404)
    cloud.act(id, 'forceDelete', None, 404)
    cloud.act(id, 'restore', None, 404)


def test_a_state_is_set_by_hand_by_admins(cloud):
    id = cloud.server(wait_for='ACTIVE')
    cloud.act(id, 'os-resetState', {'state': 'error'}, 403)
    cloud.act(id, 'os-resetState', {'state': 'error'}, who='admin')
    assert cloud.show(id)['status'] == 'ERROR'
    cloud.act(id, 'os-resetState', {'state': 'active'}, who='admin')
    assert cloud.show(id)['status'] == 'ACTIVE'
    cloud.act(id, 'os-resetState', {'state': 'paused'}, 400, who='admin')


def test_the_log_says_what_was_done_and_how_it_ended(cloud):
    id = cloud.server(wait_for='ACTIVE')
    request = cloud.act(id, 'os-stop').headers['x-compute-request-id']
    cloud.await_status(id, 'SHUTOFF')
    listed = cloud.get(f'/servers/{id}/os-instance-actions', version='2.58')['instanceActions']
    assert [action['action'] for action in listed] == ['stop', 'create']
    assert listed[0]['request_id'] == request and listed[0]['user_id'] == 'alice'
    assert 'updated_at' in listed[0]
    path = f'/servers/{id}/os-instance-actions/{request}'
    assert 'events' not in cloud.get(path, version='2.50')['instanceAction']
    [event] = cloud.get(path, version='2.51')['instanceAction']['events']
    assert event['result'] == 'Success' and 'traceback' not in event and 'hostId' not in event
    [event] = cloud.get(path, version='2.84', who='admin')['instanceAction']['events']
    assert set(event) == {'event', 'start_time', 'finish_time', 'result', 'traceback', 'host', 'hostId', 'details'}
    assert cloud.call('GET', f'/servers/{id}/os-instance-actions/req-none').status == 404
    assert cloud.call('GET', '/servers/none/os-instance-actions').status == 404


def test_owners_are_told_of_a_failure_and_administrators_its_very_words(cloud):
    def download(context, id):
        raise OSError(2, 'No such file', '/srv/images/of/the/host')
    cloud.images.download = download
    id = cloud.server(wait_for='ERROR')
    [action] = cloud.get(f'/servers/{id}/os-instance-actions')['instanceActions']
    path = f"/servers/{id}/os-instance-actions/{action['request_id']}"
    seen = [cloud.show(id)['fault'], action, cloud.get(path, version='2.96')]
    assert 'FileNotFoundError' in seen[0]['message'] and not any('/srv' in str(each) for each in seen)
    events = cloud.admin('GET', path, version='2.96').json['instanceAction']['events']
    assert any('/srv/images' in (event['details'] or '') for event in events)


def test_what_a_hypervisor_says_is_for_administrators():
    reason = Unbuildable(reason='its hypervisor refuses the guest')
    reason.__cause__ = Refused(reason="domain 'x' has uuid y", code=1)
    values = fault(reason)
    assert values['fault_message'] == 'The host cannot run it: its hypervisor refuses the guest'
    assert values['fault_details'] == "libvirt: domain 'x' has uuid y"


def test_the_log_is_paged_and_outlives_the_server(cloud):
    id = cloud.server(wait_for='ACTIVE')
    cloud.act(id, 'os-stop')
    cloud.await_status(id, 'SHUTOFF')
    path = f'/servers/{id}/os-instance-actions'
    page = cloud.get(path + '?limit=1', version='2.58')
    assert [action['action'] for action in page['instanceActions']] == ['stop']
    rest = cloud.get(page['links'][0]['href'].partition('/v2.1')[2], version='2.58')
    assert [action['action'] for action in rest['instanceActions']] == ['create']
    assert cloud.call('GET', path + '?marker=req-x', version='2.58').status == 400
    assert cloud.call('DELETE', f'/servers/{id}').status == 204
    wait.until(lambda: cloud.call('GET', f'/servers/{id}').status == 404)
    assert cloud.call('GET', path, version='2.20').status == 404
    assert [action['action'] for action in cloud.get(path, version='2.21')['instanceActions']] == [
        'delete', 'stop', 'create']
