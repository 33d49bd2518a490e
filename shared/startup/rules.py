"""What a deployed process refuses to start with, as a table of checks. Pure: settings in, refusals out.

``local`` and ``test`` are a developer's machine: nothing is public there, and no real money is near. ``production`` serves
readers. ``rehearsal`` is production in every respect but two, payments by the sandbox and mail shown on a page, and in
exchange its public names must lie where no public name can (RFC 6761): docs/decisions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

DEVELOPER = frozenset({"local"})
TESTS = frozenset({"test"})
LOCAL = DEVELOPER | TESTS
PRODUCTION = frozenset({"production"})
REHEARSAL = frozenset({"rehearsal"})
DEPLOYED = PRODUCTION | REHEARSAL
EVERYWHERE = LOCAL | DEPLOYED

#: Top-level names that no public name lies below (RFC 2606, RFC 6761, RFC 6762, and ICANN's ``internal``).
RESERVED = frozenset({"test", "example", "invalid", "localhost", "local", "internal"})
#: Those that a rehearsal may use.
REHEARSED = frozenset({"test", "localhost"})

_LABEL = re.compile(r"[a-z0-9_-]*")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")

MIN_SECRET = 24
MIN_DIFFERENT_CHARACTERS = 10
PLACEHOLDERS = ("change", "secret", "password", "example", "placeholder", "1234567", "abcdef")


class Duty(StrEnum):
    """What a process is there for; it needs the secrets of its duty and no others."""

    WEB = "web"
    WORKER = "worker"
    MIGRATE = "migrate"
    SETUP = "setup"
    COMMAND = "command"


SERVING = frozenset({Duty.WEB, Duty.WORKER})
EVERY_DUTY = frozenset(Duty)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A variable that is wrong, and what would be right. Never its value: it may be a secret."""

    variable: str
    right: str


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a service's table: ``wrong`` looks at the settings and says whether ``right`` is not so."""

    variable: str
    wrong: Callable[[Any], bool]
    right: str
    where: frozenset[str] = DEPLOYED
    duties: frozenset[Duty] = EVERY_DUTY


def refusals(
    settings: Any, checks: Iterable[Check], environment: str, duties: frozenset[Duty]
) -> list[Refusal]:
    """Everything that is wrong, in the table's order; one line a variable and reason."""
    found = [
        Refusal(check.variable, check.right)
        for check in checks
        if environment in check.where and duties & check.duties and check.wrong(settings)
    ]
    return list(dict.fromkeys(found))


def host_of(url: str) -> str:
    """The host name of an address, in lower case; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """``localhost``, names below it, 127.0.0.0/8 and ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_name(host: str) -> bool:
    """A host's name of two labels or more, not an address."""
    try:
        ip_address(host)
    except ValueError:
        return "." in host
    return False


def stays_inside(host: str) -> bool:
    """Loopback, or a name of one label: those exist only on the machine's own container network.

    A label that is a number is an address as ``inet_aton`` reads it: ``0x08080808`` is 8.8.8.8.
    """
    return is_loopback(host) or bool(_LABEL.fullmatch(host) and not _NUMBER.fullmatch(host))


def top_level(host: str) -> str:
    return host.rpartition(".")[2]


def is_https(url: str) -> bool:
    """``https://host`` and nothing behind it (a path or a query would be lost)."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    return parts.scheme == "https" and bool(parts.hostname) and bare


def public_address_wrong(url: str) -> bool:
    """For production: no https, an IP address, or a name that nobody on the internet can reach."""
    host = host_of(url)
    return not is_https(url) or not is_name(host) or top_level(host) in RESERVED


def rehearsal_address_wrong(url: str) -> bool:
    """For a rehearsal: no https, or a name that a reader could reach by mistake."""
    host = host_of(url)
    return not is_https(url) or not is_name(host) or top_level(host) not in REHEARSED


def local_address_wrong(url: str) -> bool:
    """For a developer's machine: anything that is not loopback."""
    return bool(url) and not is_loopback(host_of(url))


def reachable_address(url: str) -> bool:
    """For tests in one process: a name that somebody could reach."""
    return local_address_wrong(url) and top_level(host_of(url)) not in RESERVED


def internal_address_wrong(url: str) -> bool:
    """Plain http only where it does not leave the machine."""
    if not url:
        return False
    parts = urlsplit(url)
    return not (parts.scheme == "https" or (parts.scheme == "http" and stays_inside(host_of(url))))


def weak(secret: str) -> bool:
    """Short, of few different characters, or made of words like "change-me"."""
    lowered = secret.lower()
    return (
        len(secret) < MIN_SECRET
        or len(set(secret)) < MIN_DIFFERENT_CHARACTERS
        or any(word in lowered for word in PLACEHOLDERS)
    )


def role_of(url: str) -> str:
    """Whom a database's URL signs in as; empty where it names nobody."""
    try:
        return unquote(urlsplit(url).username or "")
    except ValueError:
        return ""


def weak_password(url: str) -> bool:
    """An address of a server whose password is missing or weak."""
    try:
        return weak(urlsplit(url).password or "")
    except ValueError:
        return True


def database_in_the_clear(url: str) -> bool:
    """PostgreSQL elsewhere without ``sslmode=verify-full`` and the authority that its certificate must come from."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    # Several hosts are separated by commas, and may stand in an option as well.
    named = ",".join([parts.netloc.rpartition("@")[2], *options.get("host", ())])
    if all(stays_inside(host_of(f"//{one}")) for one in named.split(",")):
        return False
    return options.get("sslmode") != ["verify-full"] or not authority_of(url)


def authority_of(url: str) -> str:
    """The file named by ``sslrootcert`` in a database's URL; empty where there is none."""
    try:
        return parse_qs(urlsplit(url).query).get("sslrootcert", [""])[0]
    except ValueError:
        return ""


def bus_in_the_clear(url: str) -> bool:
    """NATS elsewhere without TLS; several servers are separated by commas."""
    return any(
        not stays_inside(host_of(server)) and urlsplit(server).scheme != "tls"
        for server in url.split(",")
    )


def bus_without_credentials(url: str) -> bool:
    """NATS without a user, as the set-up's user, or with a weak password; several servers are separated by commas."""
    return any(
        (urlsplit(server).username or "setup") == "setup" or weak_password(server)
        for server in url.split(",")
        if not is_loopback(host_of(server))
    )


def repeated(secrets: Sequence[str]) -> bool:
    """Whether one value stands in two places: who learns one would have both."""
    given = [secret for secret in secrets if secret]
    return len(set(given)) < len(given)
