"""Declare a REST endpoint in one place: route, versions, policy, schema, view."""

from strata.policy import Rule
from strata.rest.app import PUBLIC, Application, Bound, Endpoint
from strata.rest.request import Request, Response
from strata.rest.schema import (
                                BOOLEAN,
                                FLAG,
                                INTEGER,
                                MOMENT,
                                NAME,
                                POSITIVE,
                                TEXT,
                                TEXTS,
                                UUID,
                                Body,
                                Document,
                                Nothing,
                                Param,
                                Query,
                                one_of,
                                true,
)
from strata.rest.versions import Choice, Range, Span, between, dotted, prune, since, until, version
from strata.rest.view import Linked, View

__all__ = ['BOOLEAN', 'FLAG', 'INTEGER', 'MOMENT', 'NAME', 'POSITIVE', 'PUBLIC', 'TEXT', 'TEXTS', 'UUID',
           'Application', 'Body', 'Bound', 'Choice', 'Document', 'Endpoint', 'Linked', 'Nothing', 'Param',
           'Query', 'Range', 'Request', 'Response', 'Rule', 'Span', 'View', 'between', 'dotted', 'one_of',
           'prune', 'since', 'true', 'until', 'version']
