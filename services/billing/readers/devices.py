"""A few words that let people recognise a browser of theirs."""

from __future__ import annotations

#: What the library does not know, or calls otherwise than people here do.
_IN_APPS = (("Zalo", "Zalo"), ("FBAN/", "Facebook"), ("FBAV/", "Facebook"))
_BROWSERS = {
    "Mobile Safari": "Safari",
    "Chrome Mobile": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Edge Mobile": "Edge",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Opera Mobile": "Opera",
    "Coc Coc": "Cốc Cốc",
    "Samsung Internet": "Samsung Internet",
}
_SYSTEMS = {"Mac OS X": "macOS", "iOS": "iPhone"}


def device_name(user_agent: str) -> str:
    """``Chrome · Android``; ``?`` for what says nothing."""
    from ua_parser import parse  # its tables are large and needed on one page only

    found = parse(user_agent)
    browser = found.user_agent.family if found.user_agent else ""
    browser = next((name for mark, name in _IN_APPS if mark in user_agent), browser)
    device = found.device.family if found.device else ""
    system = found.os.family if found.os else ""
    system = "iPad" if device == "iPad" else _SYSTEMS.get(system, system)
    return " · ".join(part for part in (_BROWSERS.get(browser, browser), system) if part) or "?"
