"""An object store behind a keystone, both over HTTP in this process, with a user for glance."""

import shutil

from strata import clock
from strata.testing.web import serving
from tests.functional.keystone_cloud import PASSWORD, Keystone
from tests.swift_cluster import Cluster

FILTERS = ('catch_errors gatekeeper healthcheck proxy_logging cache listing_formats authtoken keystoneauth '
           'copy slo dlo proxy_logging')


class ObjectStore:
    """``glance`` are the options of a store of images in it; ``account`` is where they are."""

    def __init__(self, keystone_template, path, filters=FILTERS):
        shutil.copytree(keystone_template, path / 'keystone')
        self.keystone = Keystone(path / 'keystone', clock.CLOCK)
        self._serving = serving(self.keystone.app)
        url = self.auth_url = f'http://127.0.0.1:{self._serving.__enter__().port}'
        self.project, _ = self.keystone.member('images', 'glance', 'admin')
        self.keystone.member('validators', 'swift', 'admin')
        self.cluster = Cluster(path / 'cluster', filters=filters, devices=2, zones=1, replicas=1, options={
            'filter:authtoken': {'auth_url': url, 'username': 'swift', 'password': PASSWORD,
                                 'project_name': 'validators', 'user_domain_id': 'default',
                                 'project_domain_id': 'default', 'delay_auth_decision': 'true'},
            'filter:keystoneauth': {'operator_roles': 'admin, member'}})
        service = self.keystone.make('service', type='object-store', name='swift')
        self.keystone.make('endpoint', service_id=service['id'], interface='public', region_id='RegionOne',
                           url=f'{self.cluster.base}/v1/AUTH_%(project_id)s')
        self.account = f'{self.cluster.base}/v1/AUTH_{self.project["id"]}'
        self.glance = {
            'glance_store__stores': ['swift'], 'glance_store__default_store': 'swift',
            'glance_store__swift_store_auth_address': url, 'glance_store__swift_store_user': 'images:glance',
            'glance_store__swift_store_key': PASSWORD, 'glance_store__swift_store_create_container_on_put': True}

    def token(self):
        """Of glance's own user."""
        return {'X-Auth-Token': self.keystone.login('glance', project='images')}

    def close(self):
        """Stop everything."""
        self.cluster.stop()
        self._serving.__exit__(None, None, None)
        self.keystone.wiring.close()
