"""How the cloud is installed: its packages, its daemons and its sample configuration."""

import glob
import os

from setuptools import find_packages, setup

SERVICES = ('strata', 'nova', 'glance', 'keystone', 'swift', 'horizon')

COMMANDS = {
    'nova-api': 'nova.cmd.api', 'nova-scheduler': 'nova.cmd.scheduler', 'nova-compute': 'nova.cmd.compute',
    'nova-network': 'nova.cmd.network', 'nova-net-helper': 'nova.cmd.net_helper',
    'nova-manage': 'nova.cmd.manage',
    'glance-api': 'glance.cmd.api', 'glance-registry': 'glance.cmd.registry',
    'glance-manage': 'glance.cmd.manage',
    'swift-ring-builder': 'swift.cli.ring_builder', 'swift-init': 'swift.cli.init',
    'swift-container-sync': 'swift.cmd.container_sync',
    'swift-container-reconciler': 'swift.cmd.container_reconciler',
    'swift-object-replicator': 'swift.cmd.object_replicator', 'swift-object-expirer': 'swift.cmd.object_expirer',
    'swift-object-info': 'swift.cli.info:object_info', 'swift-account-info': 'swift.cli.info:account_info',
    'swift-container-info': 'swift.cli.info:container_info',
    'swift-dispersion-populate': 'swift.cli.dispersion:populate',
    'swift-dispersion-report': 'swift.cli.dispersion:report', 'swift-drive-audit': 'swift.cli.drive_audit',
    'swift-recon': 'swift.cli.recon', 'swift-recon-cron': 'swift.cli.recon_cron',
    'swift-get-nodes': 'swift.cli.get_nodes',
    'swift-proxy-server': 'swift.cmd.proxy_server', 'swift-account-server': 'swift.cmd.account_server',
    'swift-container-server': 'swift.cmd.container_server', 'swift-object-server': 'swift.cmd.object_server',
    'swift-object-auditor': 'swift.cmd.object_auditor', 'swift-object-updater': 'swift.cmd.object_updater',
    'swift-account-replicator': 'swift.cmd.account_replicator',
    'swift-account-auditor': 'swift.cmd.account_auditor',
    'swift-account-reaper': 'swift.cmd.account_reaper',
    'swift-container-replicator': 'swift.cmd.container_replicator',
    'swift-container-auditor': 'swift.cmd.container_auditor',
    'swift-container-updater': 'swift.cmd.container_updater',
    'keystone': 'keystone.cmd.keystone', 'keystone-manage': 'keystone.cmd.manage',
}


def samples():
    """``etc/`` goes to ``share/strata-cloud/etc`` of the installation, folder by folder."""
    for folder, _, names in os.walk('etc'):
        if names:
            yield os.path.join('share/strata-cloud', folder), [os.path.join(folder, name) for name in names]


setup(
    name='strata-cloud',
    version='0.1.0',
    description='A compact cloud that speaks the OpenStack, EC2 and S3 protocols',
    license='Apache-2.0',
    # webob imports cgi, which Python 3.13 no longer has
    python_requires='>=3.11,<3.13',
    packages=find_packages(include=[pattern for name in SERVICES for pattern in (name, f'{name}.*')]),
    package_data={name: [os.path.relpath(path, name)
                         for end in ('ini', 'mako', 'yaml', 'json', 'py')
                         for path in glob.glob(f'{name}/**/*.{end}', recursive=True)]
                  for name in SERVICES},
    data_files=list(samples()),
    install_requires=[
        'eventlet>=0.40,<1',
        'greenlet>=3.1',
        'kombu>=5.4,<6',
        'amqp>=5.3,<6',
        'SQLAlchemy>=2.0.30,<3',
        'alembic>=1.13,<2',
        'WebOb>=1.8.8,<2',
        'PasteDeploy>=3.1,<4',
        'Routes>=2.5.1,<3',
        'pyroute2>=0.9,<0.10',
        'requests>=2.32,<3',
        'httptools>=0.6.4,<1',
        'pymemcache>=4,<5',
        'orjson>=3.10,<4',
        'oslo.config>=9.6',
        'oslo.policy>=4.4',
        'oslo.utils>=8',
        'argon2-cffi>=23.1',
        'cryptography>=43',
        'jsonschema>=4.21,<5',
        'PyYAML>=6',
        'PyMySQL>=1.1.1,<2',
        'psycopg[binary]>=3.2,<4',
    ],
    extras_require={
        'libvirt': ['libvirt-python>=9'],
        # users' own domains before an object store (the filter cname_lookup)
        'cname': ['dnspython>=2.6,<3'],
        # no pytest-xdist: its workers hang once the interpreter is patched
        'test': ['pytest>=8.2', 'pytest-timeout>=2.3', 'hypothesis>=6.100',
                 'ruff>=0.8', 'mypy>=1.11', 'lxml>=5.2', 'dnspython>=2.6,<3'],
        # driven by the tests from an environment of their own, as users do
        'clients': ['python-openstackclient>=8', 'python-swiftclient>=4.6'],
    },
    entry_points={'console_scripts': [f'{name} = {place if ":" in place else place + ":main"}'
                                      for name, place in COMMANDS.items()]},
)
