"""An article, by the newspaper's own id of it: the same in the paywall's register and in what readers buy."""

from __future__ import annotations

import re

ARTICLE_ID = r"[A-Za-z0-9][A-Za-z0-9._~-]{0,119}"
_WHOLE = re.compile(ARTICLE_ID)


def article_id(text: str) -> str:
    """The id that a form or an address names, blanks around it left out; empty where no article can have it."""
    found = text.strip()
    return found if _WHOLE.fullmatch(found) else ""
