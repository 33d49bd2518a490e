"""Decisions about address ranges: values in, values out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

#: How long who took a seat by a network keeps it after they were last seen there; a visit is written down once a day.
SEEN_FOR = timedelta(days=30)
SEEN_AGAIN_AFTER = timedelta(days=1)
#: Ranges of a group that wait or are approved, and how many it asks for in a day.
RANGES_AT_MOST = 10
ASKED_A_DAY = 20
#: The longest text of a form, and of a reason.
MOST_TYPED = 100
MOST_REASON = 200
#: The most addresses of one range: those of 203.0.0.0/16, and of 2400:db00::/32.
LARGEST = {4: 2**16, 6: 2**96}

#: What is nobody's on the internet, or not one organisation's: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), multicast
#: (RFC 5771) and what is reserved (RFC 1112). Of IPv6 only 2000::/3 is given out at all (RFC 4291).
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(one)
    for one in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
_PREFIX = re.compile(r"[0-9]{1,3}", re.ASCII)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))


class RefusedRangeError(ValueError):
    """What was typed is no range that can be approved. ``slug`` says why; ``right`` is what would be right, where that is known."""

    def __init__(self, slug: str, right: str = "") -> None:
        super().__init__(slug)
        self.slug, self.right = slug, right


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses of one family, from the first to the last, both included."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        return address.version == self.first.version and int(self.first) <= int(address) <= int(
            self.last
        )

    @property
    def size(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __str__(self) -> str:
        """As people write it: an address alone, ``network/bits`` where it is one network, else ``first - last``."""
        if self.first == self.last:
            return str(self.first)
        bits = self.first.max_prefixlen - (self.size.bit_length() - 1)
        if self.size & (self.size - 1) == 0 and int(self.first) % self.size == 0:
            return f"{self.first}/{bits}"
        return f"{self.first} - {self.last}"


def parse(typed: str) -> AddressRange:
    """The range that somebody wrote: ``113.160.0.0/24``, ``2400:db00::/48``, ``113.160.0.10-113.160.0.20``, or one address.

    Raises :class:`RefusedRangeError`: ``network-malformed``, ``network-bits`` (an address inside of a network: ``right`` is the network's),
    ``network-order`` (the last before the first, or of another family), ``network-wide``, ``network-private``.
    """
    text = "".join(typed.translate(_DASHES).split())
    if "/" in text:
        found = _network(text)
    else:
        first, dash, last = text.partition("-")
        found = AddressRange(_address(first), _address(last if dash else first))
    if found.first.version != found.last.version or int(found.last) < int(found.first):
        raise RefusedRangeError("network-order")
    private = [one for one in _NOT_PUBLIC if _touches(found, one)]
    if found.size > LARGEST[found.first.version] and not any(
        found.first in one and found.last in one for one in private
    ):
        raise RefusedRangeError("network-wide")
    if private:
        raise RefusedRangeError("network-private")
    return found


def _address(text: str) -> Address:
    if "%" in text:  # a zone is of one machine
        raise RefusedRangeError("network-malformed")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise RefusedRangeError("network-malformed") from None


def _network(text: str) -> AddressRange:
    address, _, bits = text.partition("/")
    first = _address(address)
    if not _PREFIX.fullmatch(bits) or int(bits) > first.max_prefixlen:
        raise RefusedRangeError("network-malformed")
    network = ipaddress.ip_network((first, int(bits)), strict=False)
    if network.network_address != first:
        raise RefusedRangeError("network-bits", str(network))
    return AddressRange(network.network_address, network.broadcast_address)


def _touches(one: AddressRange, other: IPv4Network | IPv6Network) -> bool:
    return one.first.version == other.version and (
        int(one.first) <= int(other.broadcast_address)
        and int(other.network_address) <= int(one.last)
    )


def address_of(text: str) -> Address | None:
    """The address that a request came from; an IPv4 one that is written as IPv6 (RFC 4291, 2.5.5.2) is that. None for what is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None
        return found.ipv4_mapped or found
    return found


def gone_at(seen_at: datetime) -> datetime:
    """When a seat by a network ends whose reader is not seen there again."""
    return seen_at + SEEN_FOR


def open_times(
    stretches: Sequence[tuple[datetime, datetime]],
    periods: Sequence[tuple[datetime, bool]],
    now: datetime,
) -> tuple[tuple[datetime, datetime], ...]:
    """The times that are not over in which a group's networks open what it reads: the owner's ``stretches``, as far as the period that
    began last (``periods``: the beginning of each that is paid for, and whether its plan may have networks) is of such a plan."""
    turns = sorted(periods)
    found: list[tuple[datetime, datetime]] = []
    for number, (begins, may) in enumerate(turns):
        if not may:
            continue
        until = turns[number + 1][0] if number + 1 < len(turns) else None
        for start, end in stretches:
            first, last = max(start, begins), end if until is None else min(end, until)
            if first >= last:
                continue
            if found and found[-1][1] == first:
                found[-1] = (found[-1][0], last)
            else:
                found.append((first, last))
    return tuple(one for one in found if one[1] > now)
