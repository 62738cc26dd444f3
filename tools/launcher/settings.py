"""Where this cloud lives and how it was asked to be; kept in the data directory between commands."""

import dataclasses
import hashlib
import json
import os
import pwd
import secrets
from typing import Any

#: the ports the services are known by
PORTS = {'identity': 5000, 'registry': 9191, 'image': 9292, 'compute': 8774, 'network': 9696, 'metadata': 8775,
         'object-store': 8080, 'object': 6200, 'container': 6201, 'account': 6202}
#: whose passwords are made up, and what else must not be known; 'swift_hash' tells where objects are, and 'sync_realm'
#: signs what one container of this cloud sends to another
SECRETS = ('admin', 'demo', 'glance', 'nova', 'swift', 'swift_hash', 'sync_realm')
#: the system user that the daemons run as
DAEMON_USER = 'onestack'


class Trouble(Exception):
    """A failure with its remedy, both for one line to the user."""

    def __init__(self, what: str, remedy: str = '') -> None:
        super().__init__(f'{what} Remedy: {remedy}' if remedy else what)


def checkout() -> str:
    """The source tree that this launcher stands in."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def default_data_dir() -> str:
    """As ``tools/onestack`` chooses it."""
    if os.geteuid() == 0:
        return '/var/lib/onestack'
    share = os.environ.get('XDG_DATA_HOME') or os.path.expanduser('~/.local/share')
    return os.path.join(share, 'onestack')


@dataclasses.dataclass(frozen=True)
class Settings:
    """One cloud on this host.  ``secrets`` are passwords by account; ``image_store``: where new images go;
    ``instance_names``: what the hypervisor calls servers, by ``instance_name_template``.
    """

    data_dir: str
    port_base: int | None = None
    driver: str = 'libvirt'
    server: bool = True
    secrets: dict[str, str] = dataclasses.field(default_factory=dict)
    image_store: str = 'file'
    instance_names: str = 'instance-%08x'

    @property
    def fake(self) -> bool:
        """Whether there are no real machines and networks."""
        return self.driver == 'fake'

    @property
    def tag(self) -> str:
        """What sets this cloud apart from others of the host where names are the host's; the usual one has none."""
        if self.data_dir == default_data_dir():
            return ''
        return hashlib.sha256(self.data_dir.encode()).hexdigest()[:8]

    def path(self, *parts: str) -> str:
        """A path in the data directory."""
        return os.path.join(self.data_dir, *parts)

    def port(self, service: str) -> int:
        """The port of a service: the usual one, or one of a row from ``port_base``."""
        if self.port_base is None:
            return PORTS[service]
        return self.port_base + list(PORTS).index(service)

    def url(self, service: str, path: str = '') -> str:
        """The URL of a service on this host."""
        return f'http://127.0.0.1:{self.port(service)}{path}'

    def save(self) -> None:
        """Write the settings, readable by nobody else."""
        write(self.path('settings.json'), json.dumps(dataclasses.asdict(self), indent=1), mode=0o600)


def load(data_dir: str) -> Settings | None:
    """The settings of the cloud in a data directory, or ``None`` if there is none."""
    try:
        with open(os.path.join(data_dir, 'settings.json'), encoding='utf-8') as file:
            values: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Trouble(f'{data_dir}/settings.json cannot be read ({error}).',
                      'run the command as the user who brought the cloud up.') from error
    known = {field.name for field in dataclasses.fields(Settings)}
    return Settings(**{**{key: value for key, value in values.items() if key in known}, 'data_dir': data_dir})


def settle(data_dir: str, *, port_base: int | None, driver: str | None, server: bool,
           image_store: str | None = None) -> Settings:
    """The settings for ``up``: what was kept, changed by what is asked for now."""
    kept = load(data_dir)
    words = dict(kept.secrets) if kept else {}
    for account in SECRETS:
        words.setdefault(account, secrets.token_urlsafe(18))
    chosen = driver or (kept.driver if kept else ('libvirt' if os.geteuid() == 0 else 'fake'))
    if kept and chosen != kept.driver:
        raise Trouble(f'the cloud in {data_dir} uses the {kept.driver} driver.',
                      f'"onestack reset --yes" it first, or give {chosen} a --data-dir of its own.')
    base = port_base if port_base is not None else (kept.port_base if kept else None)
    made = Settings(data_dir, base, chosen, server, words, image_store or (kept.image_store if kept else 'file'))
    names = kept.instance_names if kept else f'instance-{made.tag}-%08x' if made.tag else made.instance_names
    return dataclasses.replace(made, instance_names=names)      # guests keep theirs, and libvirt has them all


@dataclasses.dataclass(frozen=True)
class Person:
    """Whoever called us, before sudo."""

    name: str
    uid: int
    gid: int
    home: str


def person() -> Person:
    """The human behind this process: who called sudo, or else the user we run as."""
    uid = int(os.environ.get('SUDO_UID') or os.geteuid()) if os.geteuid() == 0 else os.geteuid()
    entry = pwd.getpwuid(uid)
    home = entry.pw_dir if uid != os.geteuid() else os.path.expanduser('~')
    return Person(entry.pw_name, uid, entry.pw_gid, home)


def write(path: str, text: str, *, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Replace a file whole, with its mode and owner set before it can be seen under its name."""
    beside = f'{path}.{os.getpid()}'
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, 'w', encoding='utf-8') as file:
        os.fchmod(file.fileno(), mode)
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
