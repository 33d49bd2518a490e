"""``python -m infra.news_site``: serve the sample newspaper."""

from __future__ import annotations

import uvicorn

from infra.news_site.settings import SiteSettings
from infra.news_site.site import build
from shared.startup import Duty, load_settings


def main() -> None:
    settings = load_settings(SiteSettings, Duty.WEB, "news-site")
    uvicorn.run(
        build(settings),
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # addresses come from the settings, never from what a caller wrote
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
