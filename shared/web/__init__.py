"""What every HTTP process shares: the app factory, problem answers, security headers, pages, health, serving."""

from shared.web.app import WebParts, create_app
from shared.web.front import FrontDoor
from shared.web.pages import Pages
from shared.web.serve import serve

__all__ = ["FrontDoor", "Pages", "WebParts", "create_app", "serve"]
