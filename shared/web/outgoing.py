"""Calls to other servers: whom they trust."""

from __future__ import annotations

import os
import ssl
from functools import cache

import httpx


def authorities() -> ssl.SSLContext:
    """The certificate authorities of outgoing HTTPS: httpx's choice (certifi's, or SSL_CERT_FILE, SSL_CERT_DIR).

    One for all clients of a process, and of those that are forked from it: reading the list costs 50 ms and 3 MiB.
    """
    return _authorities(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _authorities(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()
