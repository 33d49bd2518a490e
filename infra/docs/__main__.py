"""``python -m infra.docs`` writes docs/settings.md and docs/metrics.md; tests fail when they are out of date."""

from __future__ import annotations

from infra.docs.metrics import metrics_page
from infra.docs.settings import settings_page
from infra.docs.source import REPOSITORY

PAGES = {"docs/settings.md": settings_page, "docs/metrics.md": metrics_page}


def main() -> None:
    for name, page in PAGES.items():
        path = REPOSITORY / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(page(), encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
