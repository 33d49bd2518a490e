"""What every HTTP process shares: the app factory, problem answers, security headers, pages, health."""

from shared.web.app import Application, WebParts, create_app
from shared.web.front import HotRoute
from shared.web.pages import Pages

__all__ = ["Application", "HotRoute", "Pages", "WebParts", "create_app"]
