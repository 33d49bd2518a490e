"""What browser and system a user agent names, by ua-parser."""

from __future__ import annotations

from ua_parser import parse


def readable(user_agent: str) -> str:
    """``Chrome 126 · Windows 10``; empty when nothing is recognised."""
    found = parse(user_agent)
    browser = found.user_agent
    system = found.os
    parts = []
    if browser is not None:
        parts.append(" ".join(filter(None, (browser.family, browser.major))))
    if system is not None:
        parts.append(" ".join(filter(None, (system.family, system.major))))
    return " · ".join(parts)
