"""Bounds what throwing the cookie away is worth: new readers per network and hour.

A network is /24 or /48, kept only as a hash with a salt that lives in memory and changes with the hour, so that nothing
about it can be looked up later.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPV4_PREFIX = 24
IPV6_PREFIX = 48
SECONDS = 3_600
SALT_BYTES = 16
MAX_NETWORKS = 100_000


class NewReaders:
    """Counts new readers of each network in the present hour, in this process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hour: int | None = None
        self._counts: dict[bytes, int] = {}

    def admit(self, address: str, now: datetime) -> bool:
        """Whether this network may bring one more new reader now."""
        hour = int(now.timestamp()) // SECONDS
        if hour != self._hour:
            self._hour, self._salt = hour, secrets.token_bytes(SALT_BYTES)
            self._counts.clear()
        key = blake2b(network_of(address), key=self._salt, digest_size=8).digest()
        count = self._counts.get(key, 0)
        if count >= self._limit or (count == 0 and len(self._counts) >= MAX_NETWORKS):
            return False
        self._counts[key] = count + 1
        return True


def network_of(address: str) -> bytes:
    """The network part of an address. What is no address is one network of its own."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return b""
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, IPv4Address):
        return parsed.packed[: IPV4_PREFIX // 8]
    return parsed.packed[: IPV6_PREFIX // 8]


def client_address(
    peer: str, forwarded_for: str, proxies: tuple[IPv4Network | IPv6Network, ...]
) -> str:
    """Who asks: the last address in X-Forwarded-For that a trusted proxy has added, else the peer."""
    address = peer
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    while hops and _within(address, proxies):
        address = hops.pop()
    return address


def _within(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
