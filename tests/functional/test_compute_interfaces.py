"""The network cards of a server, through the front door."""

import pytest

from tests.functional.nova_cloud import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path).start()
    made.flavor()
    made.network()
    yield made
    made.close()


def test_a_servers_cards_are_listed_and_shown(cloud):
    id = cloud.server(wait_for='ACTIVE')
    [card] = cloud.get(f'/servers/{id}/os-interface')['interfaceAttachments']
    assert set(card) == {'port_id', 'net_id', 'mac_addr', 'port_state', 'fixed_ips'}
    [address] = cloud.get(f'/servers/{id}/ips/private')['private']
    assert [fixed['ip_address'] for fixed in card['fixed_ips']] == [address['addr']]
    assert card['port_state'] == 'ACTIVE'
    at = f'/servers/{id}/os-interface/{card["port_id"]}'
    assert cloud.get(at)['interfaceAttachment'] == card
    assert cloud.get(at, version='2.70')['interfaceAttachment'] == {**card, 'tag': None}


def test_other_cards_and_other_peoples_servers_are_not_found(cloud):
    id = cloud.server(wait_for='ACTIVE')
    assert cloud.call('GET', f'/servers/{id}/os-interface/{id}').status == 404
    assert cloud.call('GET', f'/servers/{id}/os-interface', project='elsewhere').status == 404
