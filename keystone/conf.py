"""What keystone.conf may say."""

from collections.abc import Sequence

from oslo_config import cfg

from strata import conf as configuration
from strata import crypt

OPTIONS: configuration.Options = {
    'DEFAULT': [
        cfg.IntOpt('list_limit', min=1, help='Rows of a list without a limit parameter; default: all.'),
        cfg.IntOpt('max_db_limit', default=1000, min=1, help='The largest limit a client may ask for.'),
        cfg.IntOpt('max_project_tree_depth', default=5, min=1,
                   help='How deep projects may be nested, the domain not counted.'),
    ],
    'api': [
        cfg.StrOpt('listen', default='0.0.0.0',      # noqa: S104
                   help='The address the API listens on.'),
        cfg.PortOpt('port', default=5000, help='The port the API listens on.'),
        cfg.IntOpt('workers', default=1, min=1, help='Processes that share the port.'),
        cfg.StrOpt('paste_config', default='api-paste.ini',
                   help='The pipeline, beside the first configuration file.'),
        cfg.ListOpt('trusted_proxies', default=[],
                    help='Addresses or networks whose X-Forwarded-* headers count.'),
    ],
    'auth': [
        cfg.ListOpt('methods', default=['password', 'token', 'application_credential'],
                    help='The ways to authenticate that are open.'),
    ],
    'identity': [
        cfg.StrOpt('default_domain_id', default='default',
                   help='The domain of whatever is created without naming one.'),
        cfg.IntOpt('max_password_length', default=4096, min=8, max=4096,
                   help='Longer passwords are refused before they are hashed.'),
        cfg.IntOpt('password_hash_memory', default=crypt.COST.memory, min=8,
                   help='KiB of memory that hashing a password takes (argon2id), and so each guess at a stolen one. '
                        'Hashes made at another cost are renewed when their user logs in.'),
        cfg.IntOpt('password_hash_passes', default=crypt.COST.passes, min=1,
                   help='Passes over that memory; at the defaults a hash takes about 30 ms of one core.'),
    ],
    'token': [
        cfg.IntOpt('expiration', default=3600, min=1, help='Seconds that a token lives.'),
        cfg.BoolOpt('allow_rescope_scoped_token', default=True,
                    help='Whether a scoped token may be exchanged for one with another scope.'),
        cfg.IntOpt('allow_expired_window', default=172800, min=0,
                   help='Seconds after its end in which a service may still validate a token.'),
        cfg.IntOpt('memory', default=5000, min=0, help='Tokens, users and so on that a process remembers.'),
    ],
    'fernet_tokens': [
        cfg.StrOpt('key_repository', default='/etc/keystone/fernet-keys', help='Where the token keys are.'),
        cfg.IntOpt('max_active_keys', default=3, min=2,
                   help='Keys kept by a rotation: the staged one, the primary, and older ones.'),
    ],
    'credential': [
        cfg.StrOpt('key_repository', default='/etc/keystone/credential-keys',
                   help='Where the keys are that credentials are encrypted with.'),
        cfg.IntOpt('user_limit', default=100, min=1, help='Credentials a user may have.'),
        cfg.IntOpt('auth_ttl', default=15, min=1, help='Minutes that an EC2 signature is good for.'),
    ],
    'application_credential': [
        cfg.IntOpt('user_limit', default=100, min=1, help='Application credentials a user may have.'),
    ],
    'security_compliance': [
        cfg.IntOpt('lockout_failure_attempts', min=1,
                   help='Wrong passwords in a row that lock a user out; default: never.'),
        cfg.IntOpt('lockout_duration', default=1800, min=1, help='Seconds that a lockout lasts.'),
        cfg.IntOpt('password_expires_days', min=1,
                   help='Days that a password is good for; default: for ever.'),
    ],
}


def load(prog: str, argv: Sequence[str] | None = None, **more: object) -> cfg.ConfigOpts:
    """The configuration of ``prog``; see ``strata.conf.load`` for the rest."""
    return configuration.load(prog, OPTIONS, argv, service='keystone', **more)      # type: ignore[arg-type]
