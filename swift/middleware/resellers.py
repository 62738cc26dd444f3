"""Reseller prefixes: the namespaces of accounts that an authorisation filter looks after, and their options."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace

from strata import errors
from swift import conf as confs

DEFAULT = 'AUTH'
#: how a conf file writes the empty prefix in a list
EMPTY = "''"


class Prefixes:
    """The prefixes of ``reseller_prefix``, each ending in ``_`` but for the empty one.

    ``options``: by prefix.  An option may be said for all, or for one prefix by
    ``PREFIX_option`` (``''option`` for the empty one).
    """

    def __init__(self, conf: Mapping[str, str], declared: Mapping[str, confs.Option], where: str) -> None:
        """Raises ``errors.Invalid``."""
        given = conf.get('reseller_prefix', DEFAULT)
        self._all: list[str] = []
        for word in given.split(','):
            name = word.strip()
            prefix = '' if name in ('', EMPTY) else name if name.endswith('_') else name + '_'
            if prefix not in self._all:
                self._all.append(prefix)
        if any('/' in prefix for prefix in self._all):
            raise errors.Invalid(f'{where}: reseller_prefix = {given}: must not hold a slash')
        self.options: dict[str, SimpleNamespace] = {}
        for prefix in self._all:
            own = prefix or EMPTY
            values = {name: conf[own + name] if own + name in conf else conf[name]
                      for name in declared if own + name in conf or name in conf}
            self.options[prefix] = confs.options(values, declared, where)
        # of two that fit the longer is meant
        self._longest = sorted(self._all, key=len, reverse=True)

    @property
    def first(self) -> str:
        """That of tokens and storage URLs."""
        return self._all[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def of(self, account: str | None) -> str | None:
        """The prefix of an account, ``None`` if it is nobody's here."""
        if not account:
            return None
        for prefix in self._longest:
            if account.startswith(prefix):
                return prefix
        return None
