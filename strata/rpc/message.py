"""What goes over the wire: messages and answers as JSON, errors as the class they were.

Both buses send the same bytes, so what works on one works on the other.
"""

import dataclasses
import logging
from typing import Any

import orjson

from strata import clock, errors
from strata.context import Context

LOG = logging.getLogger(__name__)

# plain values only: what JSON would change silently is refused by both sides
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


@dataclasses.dataclass(slots=True)
class Message:
    """One message under way."""

    key: str                         # routing key: compute, compute.node1, compute_fanout
    verb: str
    context: bytes                   # JSON, without the token
    body: bytes                      # JSON, the arguments
    id: str = dataclasses.field(default_factory=clock.new_uuid)
    reply_to: str | None = None      # where the caller waits, if it does
    seconds: float | None = None     # how long it waits; then the message is void

    @property
    def waits(self) -> bool:
        """Whether somebody waits for the answer."""
        return self.reply_to is not None


def message(key: str, verb: str, context: Context, args: dict[str, Any]) -> Message:
    """A message to be sent; ``TypeError`` if the arguments are not plain JSON values."""
    return Message(key, verb, orjson.dumps(context.to_dict()), _dumps(args, f'an argument of {verb}'))


def _dumps(value: Any, what: str) -> bytes:
    try:
        return orjson.dumps(value, option=_STRICT)
    except TypeError as error:
        raise TypeError(f'{what} cannot be sent: {error}') from error


def opened(message: Message) -> tuple[Context, dict[str, Any]]:
    """The context and arguments of a message that arrived; ``ValueError`` if it is malformed."""
    try:
        context, args = orjson.loads(message.context), orjson.loads(message.body)
        if not isinstance(args, dict):
            raise TypeError('the arguments are not an object')
        return Context.from_dict(context), args
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f'malformed message {message.id} for {message.key}: {error}') from error


def answer(verb: str, value: Any) -> bytes:
    """The reply to a call; a value that cannot be sent becomes an error reply."""
    try:
        return _dumps({'answer': value}, f'the answer to {verb}')
    except TypeError as error:
        LOG.error('%s', error)
        return failure(errors.Error(str(error)))


def failure(error: BaseException) -> bytes:
    """The reply to a call that raised.

    Errors of ours travel as they are.  Of any other only the class is told:
    its text may hold what the caller must not see, and is in the worker's log.
    """
    if not isinstance(error, errors.Error) or not error.told:
        error = errors.Error(f'The worker met an unexpected {type(error).__name__}; its log says more.')
    kinds = [f'{kind.__module__}:{kind.__qualname__}' for kind in type(error).__mro__
             if issubclass(kind, errors.Error)]
    content = {'kinds': kinds, 'status': error.status, 'message': str(error), 'headers': error.headers}
    try:
        return orjson.dumps({'error': {**content, 'details': error.details}}, option=_STRICT)
    except TypeError:
        return orjson.dumps({'error': content})


def result(reply: bytes) -> Any:
    """What the manager answered; raises what it raised."""
    content = orjson.loads(reply)
    if 'error' not in content:
        return content['answer']
    raise _rebuilt(content['error'])


def _rebuilt(content: dict[str, Any]) -> errors.Error:
    """The same class if this process has it, else its nearest ancestor that it has."""
    known = _known(errors.Error)
    kind = next((known[name] for name in content['kinds'] if name in known), errors.Error)
    error = kind.__new__(kind)
    Exception.__init__(error, content['message'])
    error.status = content['status']
    error.headers = content.get('headers') or {}
    error.details = content.get('details') or {}
    return error


def _known(kind: type[errors.Error]) -> dict[str, type[errors.Error]]:
    found = {f'{kind.__module__}:{kind.__qualname__}': kind}
    for child in kind.__subclasses__():
        found.update(_known(child))
    return found
