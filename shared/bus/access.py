"""How a process signs in to NATS, and what the server's refusals mean.

Each user hears answers below an inbox prefix of its own, ``_INBOX.<user>`` (infra/nats/permissions.py): with the
common prefix any credential could listen to everybody's answers.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from nats.aio.client import Client

from shared.bus.base import NotPermittedError

#: ``nats: permissions violation for publish to "billing.x"`` (nats-server, client.go).
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.I)


def sign_in_options(url: str, ca_file: str = "") -> dict[str, Any]:
    """Options of ``nats.connect`` for a URL, or several separated by commas.

    ``tls://`` or ``ca_file`` (the PEM of the authority that the server's certificate must come from; empty: the
    machine's) makes it TLS from the first byte. The usual way, TLS after the server's greeting, would not do: nats-py
    believes a greeting that says nothing of TLS, and whoever stands in between would be told the password.
    """
    servers = [part.strip() for part in url.split(",") if part.strip()]
    first = urlsplit(servers[0])
    options: dict[str, Any] = {"servers": servers}
    if first.username and first.password:
        options |= {
            "user": first.username,
            "password": first.password,
            "inbox_prefix": inbox_prefix(first.username),
        }
    if ca_file or any(urlsplit(server).scheme == "tls" for server in servers):
        options["tls"] = ssl.create_default_context(cafile=ca_file or None)
        options["tls_handshake_first"] = True
    return options


def explained(error: str, options: Mapping[str, Any]) -> str:
    """A failure to connect, with what the operator of a server without TLS could not guess from it."""
    if "tls" not in options or "CERTIFICATE_VERIFY_FAILED" in error:
        return error
    return f"{error} (it must speak TLS from the first byte: handshake_first in the server's tls block)"


def inbox_prefix(user: str) -> str:
    return f"_INBOX.{user}"


#: Subjects that the server has refused each connection since it was made.
_DENIED: WeakKeyDictionary[Client, set[str]] = WeakKeyDictionary()


def remember_denial(client: Client, subject: str) -> None:
    _DENIED.setdefault(client, set()).add(subject.lower())


def forget_denials(client: Client) -> None:
    """After a reconnection: the operator may have given the right meanwhile."""
    _DENIED.pop(client, None)


def require_permission(client: Client, *subjects: str) -> None:
    """Raises :class:`NotPermittedError` for a subject that this connection was refused.

    The server says so on the connection and not to the request, which would just run out of time.
    """
    for subject in subjects:
        if subject.lower() in _DENIED.get(client, ()):
            raise NotPermittedError(f"this credential may not use {subject}")


def denied_subject(error: Exception) -> str:
    """The subject that the server has refused this user, or an empty text for another error.

    In lower case: nats-py has made the whole message so.
    """
    found = _VIOLATION.search(str(error))
    return found[2].lower() if found else ""
