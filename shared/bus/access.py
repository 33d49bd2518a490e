"""How a process signs in to NATS, and what the server's refusals mean.

Each user hears answers below an inbox prefix of its own, ``_INBOX.<user>`` (infra/nats/permissions.py): with the
common prefix any credential could listen to everybody's answers.
"""

from __future__ import annotations

import re
import ssl
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from nats.aio.client import Client

from shared.bus.base import NotPermittedError

#: ``nats: permissions violation for publish to "billing.x"`` (nats-server, client.go).
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.I)


def sign_in_options(url: str, ca_file: str = "") -> dict[str, Any]:
    """Options of ``nats.connect`` for a URL, or several separated by commas.

    ``ca_file`` is the PEM of the authority that the server's certificate must come from; with it, a server that does
    not speak TLS is refused.
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
    if ca_file:
        options["tls"] = ssl.create_default_context(cafile=ca_file)
    return options


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
