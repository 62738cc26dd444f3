"""Storage policies: each a ring of its own, and a suffix to the directories of its objects.

From ``[storage-policy:N]`` of swift.conf; without any there is one, named Policy-0.
"""

import dataclasses
import os
import re
from collections.abc import Iterator

from strata import errors
from swift import conf as confs

_NAME = re.compile(r'[A-Za-z0-9-]+\Z')
_SECTION = 'storage-policy:'
#: of what a policy may be; erasure coding is not built
TYPES = ('replication',)


@dataclasses.dataclass(frozen=True)
class Policy:
    """One way to keep objects."""

    index: int
    name: str
    aliases: tuple[str, ...] = ()
    is_default: bool = False
    is_deprecated: bool = False
    type: str = 'replication'

    @property
    def suffix(self) -> str:
        """What follows directory and ring names: nothing for policy 0."""
        return f'-{self.index}' if self.index else ''

    @property
    def ring_name(self) -> str:
        """Its ring file, without ``.ring.gz``."""
        return 'object' + self.suffix

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)

    def info(self) -> dict[str, object]:
        """What ``/info`` tells."""
        said: dict[str, object] = {'name': self.name, 'aliases': ', '.join(self.names)}
        if self.is_default:
            said['default'] = True
        return said


class Policies:
    """All policies of a cluster."""

    def __init__(self, policies: list[Policy]) -> None:
        """Raises ``errors.Invalid`` if they do not go together."""
        self._by_index = {policy.index: policy for policy in sorted(policies, key=lambda each: each.index)}
        self._by_name: dict[str, Policy] = {}
        if len(self._by_index) != len(policies):
            raise errors.Invalid('two storage policies have the same index')
        if 0 not in self._by_index:
            raise errors.Invalid('there must be a storage policy 0')
        for policy in policies:
            for name in policy.names:
                if not _NAME.match(name):
                    raise errors.Invalid(f'the storage policy name {name!r} may hold letters, digits and - only')
                if self._by_name.setdefault(name.upper(), policy) is not policy:
                    raise errors.Invalid(f'two storage policies are named {name}')
        chosen = [policy for policy in policies if policy.is_default]
        if len(chosen) != 1:
            raise errors.Invalid('exactly one storage policy must be the default')
        self.default = chosen[0]
        if self.default.is_deprecated:
            raise errors.Invalid('a deprecated storage policy cannot be the default')

    @classmethod
    def load(cls, swift_dir: str = '/etc/swift') -> 'Policies':
        """Of ``swift_dir``/swift.conf; raises ``errors.Invalid``, naming the section."""
        path = os.path.join(swift_dir, 'swift.conf')
        parser = confs.parse(path)
        sections = [name for name in parser.sections() if name.startswith(_SECTION)]
        if not sections:
            return cls([Policy(0, 'Policy-0', is_default=True)])
        declared = [_policy(section, dict(parser.items(section)), f'{path}: [{section}]') for section in sections]
        if not any(policy.is_default for policy in declared):
            if len(declared) > 1:
                raise errors.Invalid(f'{path}: one storage policy needs default = yes')
            declared = [dataclasses.replace(declared[0], is_default=True)]
        try:
            return cls(declared)
        except errors.Invalid as error:
            raise errors.Invalid(f'{path}: {error}') from error

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._by_index.values())

    def __len__(self) -> int:
        return len(self._by_index)

    def __getitem__(self, index: int | str) -> Policy:
        """The policy of an index; ``KeyError`` if there is none.  An empty or missing index is policy 0."""
        try:
            return self._by_index[int(index or 0)]
        except ValueError:
            raise KeyError(index) from None

    def get(self, index: int | str | None) -> Policy | None:
        """As ``[]``, ``None`` if there is none."""
        try:
            return self[index or 0]
        except KeyError:
            return None

    def named(self, name: str) -> Policy | None:
        """The policy of a name or alias, in any case; ``None`` if there is none."""
        return self._by_name.get(name.upper())

    def info(self) -> list[dict[str, object]]:
        """What ``/info`` tells: those that new containers may have."""
        return [policy.info() for policy in self if not policy.is_deprecated]

    def split(self, directory: str) -> tuple[str, Policy]:
        """``objects-1`` -> (``objects``, policy 1); ``ValueError`` if there is no such policy."""
        base, mark, index = directory.partition('-')
        if (mark and not index.isdecimal()) or (mark and int(index) == 0):
            raise ValueError(f'{directory} is no directory of a storage policy')
        policy = self._by_index.get(int(index) if mark else 0)
        if policy is None:
            raise ValueError(f'there is no storage policy for {directory}')
        return base, policy


def datadir(base: str, policy: Policy | int) -> str:
    """The directory of a policy beside others: ``objects``, ``objects-1``."""
    index = policy if isinstance(policy, int) else policy.index
    return f'{base}-{index}' if index else base


def _policy(section: str, values: dict[str, str], where: str) -> Policy:
    number = section.removeprefix(_SECTION).strip()
    if not number.isdecimal():
        raise errors.Invalid(f'{where}: {number!r} is no number')
    given = confs.options(values, {
        'name': confs.Option(confs.text, '', 'what users call it'),
        'aliases': confs.Option(confs.commas, [], 'other names'),
        'default': confs.Option(confs.boolean, False, 'whether new containers get it'),
        'deprecated': confs.Option(confs.boolean, False, 'whether new containers may not have it'),
        'policy_type': confs.Option(confs.choice('replication', 'erasure_coding'), 'replication', 'how data is kept'),
    }, where)
    if given.policy_type not in TYPES:
        raise errors.Invalid(f'{where}: policy_type = {given.policy_type}: only {", ".join(TYPES)} is built')
    if not given.name and int(number):
        raise errors.Invalid(f'{where}: name is missing')
    return Policy(int(number), given.name or 'Policy-0', tuple(given.aliases), given.default, given.deprecated,
                  given.policy_type)
