"""Actions on a server -- /servers/{id}/action."""

from collections.abc import Callable
from typing import Any

from nova.api.compute import app
from nova.api.policy import ADMIN, MEMBER, rule
from nova.compute import administration, servers, verbs
from nova.compute.verbs import Verb
from strata import errors
from strata.rest import Body, Document, Nothing, Request, since

PATH = '/servers/{id}'
UNLOCK_ANY = rule('os-lock-server:unlock:unlock_override', ADMIN)

#: the action in the body, the verb, the rule
SIMPLE = (
    ('os-start', verbs.START, 'servers:start'),
    ('os-stop', verbs.STOP, 'servers:stop'),
    ('pause', verbs.PAUSE, 'os-pause-server:pause'),
    ('unpause', verbs.UNPAUSE, 'os-pause-server:unpause'),
    ('suspend', verbs.SUSPEND, 'os-suspend-server:suspend'),
    ('resume', verbs.RESUME, 'os-suspend-server:resume'),
)


def _simple(verb: Verb) -> Callable[..., None]:
    def act(req: Request, id: str, body: Any) -> None:
        servers.begin(req.wiring, req.context, id, verb)
    act.__doc__ = f'Begin to {verb.action} a server.'
    return act


for _name, _verb, _rule in SIMPLE:
    app.action(PATH, _name, body=Nothing(_name), allow=rule(_rule, MEMBER))(_simple(_verb))


@app.action(PATH, 'reboot', allow=rule('servers:reboot', MEMBER), body=Body('reboot', {
    'type': {'type': 'string', 'enum': ['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft']}}, ['type']))
def reboot(req: Request, id: str, body: dict[str, Any]) -> None:
    """Restart a server: soft asks the guest, hard pulls the plug."""
    soft = body['type'].lower() == 'soft'
    servers.begin(req.wiring, req.context, id, verbs.SOFT_REBOOT if soft else verbs.HARD_REBOOT)


LOCK = Document({'type': 'object', 'required': ['lock'], 'additionalProperties': False, 'properties': {
    'lock': {'type': ['null', 'object'], 'additionalProperties': False,
             'required': [since('2.73', 'locked_reason')],
             'properties': {'locked_reason': since('2.73', {'type': 'string', 'minLength': 1,
                                                            'maxLength': 255})}}}})


@app.action(PATH, 'lock', body=LOCK, allow=rule('os-lock-server:lock', MEMBER))
def lock(req: Request, id: str, body: dict[str, Any]) -> None:
    """Keep a server from being changed; since 2.73 with a reason."""
    administration.lock(req.wiring, req.context, id, reason=(body['lock'] or {}).get('locked_reason'))


@app.action(PATH, 'unlock', body=Nothing('unlock'), allow=rule('os-lock-server:unlock', MEMBER))
def unlock(req: Request, id: str, body: Any) -> None:
    """Let a server be changed again."""
    administration.unlock(req.wiring, req.context, id, override=req.allows(UNLOCK_ANY))


@app.action(PATH, 'forceDelete', body=Nothing('forceDelete'), allow=rule('os-deferred-delete:force', MEMBER))
def force_delete(req: Request, id: str, body: Any) -> None:
    """Delete a server at once, as every delete here is."""
    servers.delete(req.wiring, req.context, id)


@app.action(PATH, 'restore', body=Nothing('restore'), allow=rule('os-deferred-delete:restore', MEMBER))
def restore(req: Request, id: str, body: Any) -> None:
    """Bring back a server that waits for its deletion; none does, for deletes are carried out at once."""
    server = servers.get(req.wiring, req.context, id)
    raise errors.Conflict("Cannot 'restore' instance {id} while it is in vm_state {state}", id=id,
                          state=server.vm_state)


@app.action(PATH, 'os-resetState', allow=rule('os-admin-actions:reset_state', ADMIN),
            body=Body('os-resetState', {
    'state': {'type': 'string', 'enum': ['active', 'error']}}, ['state']))
def reset_state(req: Request, id: str, body: dict[str, Any]) -> None:
    """Set a server's state by hand."""
    administration.reset_state(req.wiring, req.context, id, body['state'])


@app.action(PATH, 'os-getConsoleOutput', status=200, allow=rule('os-console-output', MEMBER),
            body=Body('os-getConsoleOutput', {
                'length': {'type': ['integer', 'string', 'null'], 'minimum': -1, 'maximum': 0x7FFFFFFF,
                           'pattern': '^-?[0-9]{1,10}$'}}))
def console_output(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """The end of a server's console."""
    length = body.get('length')
    lines = None if length is None else int(length)
    if lines is not None and lines < -1:
        raise errors.Invalid('Invalid input for field/attribute os-getConsoleOutput/length. Value: {length}. '
                             'It is less than the minimum of -1', length=lines)
    return {'output': administration.console_output(req.wiring, req.context, id, lines=lines)}
