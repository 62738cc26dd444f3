"""Options of the proxy, by their published names, and those that a storage policy may have of its own."""

import re
from collections.abc import Callable
from typing import Any

from swift import conf as confs
from swift.conf import Option

Node = dict[str, Any]


def replicas_factor(value: str) -> Callable[[float], int]:
    """``6``, or ``2 * replicas``: a function of the number of replicas."""
    match = re.fullmatch(r'\s*(\d+)\s*(\*\s*replicas)?\s*', value)
    if not match or int(match[1]) < 1:
        raise ValueError("must be a number from 1, or such a number followed by '* replicas'")
    factor = int(match[1])
    return (lambda replicas: int(factor * replicas)) if match[2] else lambda replicas: factor


def place(word: str) -> tuple[int, int | None]:
    """``r1`` or ``r1z2``: region and zone."""
    match = re.fullmatch(r'r(\d+)(?:z(\d+))?', word.strip())
    if not match:
        raise ValueError(f'{word!r} is neither a region (r1) nor a zone of one (r1z2)')
    return int(match[1]), int(match[2]) if match[2] else None


def affinity(value: str) -> Callable[[Node], float] | None:
    """``r1z1=100, r1=200``: how near a node is, the lowest first."""
    ranks = {}
    for word in confs.commas(value):
        name, equals, rank = word.partition('=')
        if not equals:
            raise ValueError(f"{word!r} has no '=priority'")
        ranks[place(name)] = int(rank)
    if not ranks:
        return None

    def nearness(node: Node) -> float:
        zone = ranks.get((node['region'], node['zone']))
        region = ranks.get((node['region'], None))
        return min((rank for rank in (zone, region) if rank is not None), default=float('inf'))
    return nearness


def locality(value: str) -> Callable[[Node], bool] | None:
    """``r1, r2z2``: whether a node is local."""
    places = {place(word) for word in confs.commas(value)}
    if not places:
        return None
    return lambda node: (node['region'], None) in places or (node['region'], node['zone']) in places


def auto(value: str) -> int | None:
    """A number, or ``auto``."""
    return None if value.strip().lower() == 'auto' else confs.count(value)


OWNER_HEADERS = ('x-container-read, x-container-write, x-container-sync-key, x-container-sync-to, '
                 'x-account-meta-temp-url-key, x-account-meta-temp-url-key-2, '
                 'x-container-meta-temp-url-key, x-container-meta-temp-url-key-2, x-account-access-control')

#: also in ``[proxy-server:policy:N]``
POLICY_OPTIONS = {
    'sorting_method': Option(confs.choice('shuffle', 'timing', 'affinity'), 'shuffle', 'which replica is asked first'),
    'read_affinity': Option(affinity, None, 'near regions and zones, for sorting_method = affinity'),
    'write_affinity': Option(locality, None, 'regions and zones that get a write first'),
    'write_affinity_node_count': Option(replicas_factor, replicas_factor('2 * replicas'),
                                        'local nodes that a write tries first'),
    'write_affinity_handoff_delete_count': Option(auto, None, 'local handoffs that a delete asks too'),
    'concurrent_gets': Option(confs.boolean, False, 'ask the next replica when the first is slow'),
    'concurrency_timeout': Option(confs.number, None, 'seconds after which it is slow; default: conn_timeout'),
}

OPTIONS = {
    **POLICY_OPTIONS,
    'swift_dir': Option(confs.text, '/etc/swift', 'where swift.conf and the rings are'),
    'node_timeout': Option(confs.number, 10.0, 'seconds to wait for a storage server'),
    'recoverable_node_timeout': Option(confs.number, None, 'the same where another replica can be asked instead'),
    'conn_timeout': Option(confs.number, 0.5, 'seconds to wait for a connection'),
    'post_quorum_timeout': Option(confs.number, 0.5, 'seconds that slow replicas get after enough have answered'),
    'object_chunk_size': Option(confs.positive, 65536, 'bytes read from storage servers at a time'),
    'client_chunk_size': Option(confs.positive, 65536, 'bytes read from clients at a time'),
    'recheck_account_existence': Option(confs.number, 60.0, 'seconds that facts of an account are cached'),
    'recheck_container_existence': Option(confs.number, 60.0, 'seconds that facts of a container are cached'),
    'account_autocreate': Option(confs.boolean, False, 'whether an account comes to be when it is first written to'),
    'allow_account_management': Option(confs.boolean, False, 'whether accounts can be PUT and DELETEd'),
    'max_containers_per_account': Option(confs.count, 0, 'more are refused; 0: no limit'),
    'max_containers_whitelist': Option(confs.commas, [], 'accounts without that limit'),
    'deny_host_headers': Option(confs.commas, [], 'hosts that are answered 403'),
    'timing_expiry': Option(confs.number, 300.0, 'seconds that a measured speed counts'),
    'request_node_count': Option(replicas_factor, replicas_factor('2 * replicas'), 'nodes that a request tries'),
    'swift_owner_headers': Option(confs.commas, confs.commas(OWNER_HEADERS), 'headers only owners may see and set'),
    'expose_info': Option(confs.boolean, True, 'whether /info is answered'),
    'disallowed_sections': Option(confs.commas, ['swift.valid_api_versions'], 'what /info keeps to itself'),
    'admin_key': Option(confs.text, '', 'secret for the whole of /info; empty: nobody gets it'),
    'cors_allow_origin': Option(confs.commas, [], 'origins allowed everywhere'),
    'cors_expose_headers': Option(confs.commas, [], 'headers exposed everywhere'),
    'strict_cors_mode': Option(confs.boolean, True, 'no CORS headers for origins that are not allowed'),
    'error_suppression_interval': Option(confs.number, 60.0, 'seconds without error after which a node is trusted'),
    'error_suppression_limit': Option(confs.count, 10, 'errors after which a node is left alone'),
    'log_handoffs': Option(confs.boolean, True, 'whether the use of handoffs is logged'),
    'expiring_objects_container_divisor': Option(confs.positive, 86400, 'seconds of one container of the queue'),
    'expiring_objects_account_name': Option(confs.text, 'expiring_objects', "the queue's account, without prefix"),
    'enable_open_expired': Option(confs.boolean, False, 'whether X-Open-Expired shows expired objects'),
    'allow_open_expired': Option(confs.boolean, False, 'the same'),
    'max_idle_connections': Option(confs.positive, 64, 'idle connections kept to each storage server'),
}
