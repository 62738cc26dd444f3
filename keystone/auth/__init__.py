"""Authentication: a file per method, and how they come together to a token.

A method is a function ``authenticate(wiring, given, request) -> Proof``; it
raises ``errors.Unauthorized`` whatever is wrong, always with the same words,
so that nobody learns which part was.
"""

import dataclasses
from typing import Any

from keystone.token.payload import Payload


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """What one method found out."""

    user_id: str
    #: methods that the proof rests on beside this one (those of a parent token)
    methods: tuple[str, ...] = ()
    parent: Payload | None = None
    #: (kind, id) of the only scope that this proof opens
    bound: tuple[str, str] | None = None
    application_credential_id: str = ''


#: a part of the request: what the method was given, as the schema let it through
Given = dict[str, Any]
