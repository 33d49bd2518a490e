"""The networks of the compose file as bridges in a network namespace of their own: nothing of this machine's network is touched."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.prove.images import run

FIRST_FREE = ipaddress.IPv4Network("10.85.0.0/16")


@dataclass
class Networks:
    """Bridges and the namespaces hung on them; every name begins with ``prefix``."""

    prefix: str
    declared: Mapping[str, Mapping[str, Any]]
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)  # network → name → address
    _made: list[str] = field(default_factory=list)
    _pools: dict[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"{self.prefix}-host"

    def namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def open(self) -> None:
        """The bridges, each with its subnet's first address."""
        self._add(self.host)
        spare = FIRST_FREE.subnets(new_prefix=24)
        for number, (name, options) in enumerate(self.declared.items()):
            ipam = (options or {}).get("ipam", {}).get("config", [])
            subnet = ipaddress.IPv4Network(ipam[0]["subnet"]) if ipam else next(spare)
            hosts = subnet.hosts()
            gateway = next(hosts)
            self._pools[name] = (number, subnet.prefixlen, hosts)
            self.addresses[name] = {}
            self._ip(self.host, "link", "add", f"br{number}", "type", "bridge")
            self._ip(
                self.host, "addr", "add", f"{gateway}/{subnet.prefixlen}", "dev", f"br{number}"
            )
            self._ip(self.host, "link", "set", f"br{number}", "up")

    def join(self, name: str, networks: Iterable[str]) -> None:
        """A namespace for one container, on these networks and no others; the lowest ports need no rights, as in Docker."""
        space = self.namespace(name)
        self._add(space)
        self._ip(space, "link", "set", "lo", "up")
        run(
            ["ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0"]
        )
        for place, network in enumerate(networks):
            number, length, hosts = self._pools[network]
            address = str(next(hosts))
            outer = f"v{len(self._made)}n{place}"
            self._ip(
                self.host,
                *("link", "add", outer, "type", "veth", "peer", "name", f"eth{place}"),
                *("netns", space),
            )
            self._ip(self.host, "link", "set", outer, "master", f"br{number}", "up")
            self._ip(space, "addr", "add", f"{address}/{length}", "dev", f"eth{place}")
            self._ip(space, "link", "set", f"eth{place}", "up")
            self.addresses[network][name] = address

    def hosts_file(self, name: str, networks: Iterable[str], more: str = "") -> str:
        """Who is who for one container: the names on its own networks."""
        lines = ["127.0.0.1 localhost"]
        for network in networks:
            lines += [f"{address} {other}" for other, address in self.addresses[network].items()]
        return "\n".join([*lines, more]) + "\n"

    def close(self) -> None:
        """Remove the namespaces; veth ends and bridges go with them."""
        for space in reversed(self._made):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
        self._made.clear()

    def _add(self, space: str) -> None:
        run(["ip", "netns", "add", space])
        self._made.append(space)

    def _ip(self, space: str, *words: str) -> None:
        run(["ip", "-netns", space, *words])
