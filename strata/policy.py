"""Policy: each rule's default stands where its route is declared; policy.yaml overrides it."""

import dataclasses
import functools
import inspect
import os
import types
from collections.abc import Iterable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import _checks
from oslo_policy import policy as oslo

from strata import errors
from strata.context import Context

# oslo.policy asks for the signature of each part of a rule at each check, which costs more than the rest of it
if getattr(_checks, 'inspect', None) is inspect:
    _checks.inspect = types.SimpleNamespace(      # type: ignore[assignment]
        **{**vars(inspect), 'getfullargspec': functools.lru_cache(4096)(inspect.getfullargspec)})


@dataclasses.dataclass(frozen=True)
class Rule:
    """A named rule and its default check, in oslo.policy's language."""

    name: str
    check: str
    help: str = ''


class _Default(oslo.RuleDefault):
    """A rule as oslo.policy wants it.

    oslo.policy copies each deeply, because a deprecated rule is changed later;
    ours never are.
    """

    def __deepcopy__(self, memo: object) -> '_Default':
        return self


#: the rules stand in the code, and to read one is the larger part of the work: once is enough
_default = functools.lru_cache(4096)(_Default)


class Policy:
    """The rules of one service, as declared and as overridden by the operator."""

    def __init__(self, rules: Iterable[Rule], *, path: str | None = None) -> None:
        """``path``: a policy.yaml, which may be absent; if it is there now, its changes are picked up on the fly."""
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        overridden = bool(path and os.path.exists(path))
        self._enforcer = oslo.Enforcer(conf, policy_file=path if overridden else None, use_conf=True)
        self._enforcer.suppress_deprecation_warnings = True
        self._enforcer.suppress_default_change_warnings = True
        seen: dict[str, Rule] = {}
        for rule in rules:
            if rule.name in seen and seen[rule.name].check != rule.check:
                raise ValueError(f'rule {rule.name} is declared twice, differently')
            if rule.name not in seen:
                self._enforcer.register_default(_default(rule.name, rule.check, rule.help))
            seen[rule.name] = rule
        self._enforcer.load_rules()
        # without a file there is nothing to watch, and looking for one at each check costs more than the check
        self._enforcer.use_conf = overridden

    def allows(self, rule: str, context: Context, target: Mapping[str, Any] | None = None) -> bool:
        """Whether the caller may; without a target the caller's own project and user are meant."""
        values = context.policy_values()
        if target is None:
            target = {'project_id': context.project_id, 'user_id': context.user_id,
                      'tenant_id': context.project_id, 'domain_id': context.domain_id}
        return bool(self._enforcer.enforce(rule, dict(target), values))

    def check(self, rule: str, context: Context, target: Mapping[str, Any] | None = None) -> None:
        """Raise ``errors.Forbidden`` naming the rule unless the caller may."""
        if not self.allows(rule, context, target):
            raise errors.Forbidden(rule=rule)
