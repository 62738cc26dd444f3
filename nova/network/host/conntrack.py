"""Connections that still follow a translation which no longer holds."""

import contextlib
import socket
from collections.abc import Mapping

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple


def forget_translations(inward: Mapping[str, str], outward: Mapping[str, str], otherwise: str | None) -> int:
    """Forget the thread's namespace's IPv4 connections that are translated otherwise than this.

    ``inward`` is floating address to fixed one, ``outward`` fixed to floating; any other source goes out
    as ``otherwise``.  The number of forgotten connections is returned.
    """
    netlink = NFCTSocket()
    forgotten = 0
    try:
        for entry in list(netlink.dump()):
            sent, back = entry.get_attr('CTA_TUPLE_ORIG'), entry.get_attr('CTA_TUPLE_REPLY')
            original = NFCTAttrTuple.from_netlink(socket.AF_INET, sent)
            reply = NFCTAttrTuple.from_netlink(socket.AF_INET, back)
            in_wrong = original.daddr != reply.saddr and inward.get(original.daddr) != reply.saddr
            out_wrong = original.saddr != reply.daddr and \
                outward.get(original.saddr, otherwise) != reply.daddr
            if in_wrong or out_wrong:
                with contextlib.suppress(NetlinkError):         # it ended by itself
                    netlink.entry('del', tuple_orig=original)
                    forgotten += 1
    finally:
        netlink.close()
    return forgotten
