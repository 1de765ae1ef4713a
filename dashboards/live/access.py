"""Who may look, and at whose numbers.

Bound to a loopback address the page is open to whoever sits at this machine. Bound to any other, or where
PIXELTALLY_LIVE_TOKEN is set, it needs the token; a signed link instead of the token shows one advertiser's boards.
Either comes in the URL once and then in a cookie, and is proved anew with every request.
"""

import hmac
import html
import secrets
import time
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

from flask import Flask, Request, Response, g, request

from dashboards.boards import BOARDS
from dashboards.live.view import path
from pixeltally.files import made_once
from pixeltally.settings import Settings
from pixeltally.signing import view_link, viewer

DAY_S = 86_400
#: A token's cookie; a link's ends with the link.
COOKIE_S = 30 * DAY_S

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Pixeltally</title>{head}
<style>body {{ max-width: 36em; margin: 15vh auto; padding: 0 1em; font: 16px/1.5 system-ui, sans-serif }}</style>
</head>
<body><h1>Pixeltally</h1><p>{text}</p></body>
</html>
"""


@dataclass(frozen=True)
class Viewer:
    """Whoever was let in: at one advertiser's numbers, or at all."""

    advertiser: str = ""
    until_s: int = 0


class Access:
    """Tells viewers from others."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.keys()
        self._cookie = f"pixeltally-{settings.live_port}"
        self._token = token(settings)

    def guard(self, server: Flask) -> None:
        """Answer nothing but the health check to whoever may not look; `g.viewer` is who looks."""

        @server.before_request
        def check() -> Response | None:
            if request.path == "/healthz":
                return None
            for name in ("token", "link"):
                if text := request.args.get(name):
                    found = self.viewer(text)
                    return self._come_in(text, found) if found else _refused(f"This {name} is wrong or has expired.")
            found = self.viewer(request.cookies.get(self._cookie, ""))
            if found is None and self._token:
                return _refused("This page needs a token or a link: open the address that `pixeltally live` printed.")
            if found is None and not is_local(request):
                return _refused("This page is open on its own machine alone; PIXELTALLY_LIVE_TOKEN lets others in.")
            g.viewer = found or Viewer()
            return None

    def viewer(self, text: str) -> Viewer | None:
        """Whom the token or link lets in."""
        if self._token and hmac.compare_digest(self._token, text.encode("utf-8", "replace")):
            return Viewer(until_s=int(time.time()) + COOKIE_S)
        found = viewer(self._keys.accepted(), text, time.time())
        return Viewer(*found) if found else None

    def _come_in(self, text: str, viewer: Viewer) -> Response:
        """Keep the token or link in a cookie and lead on to the same address without it.

        By a page, not a redirect: a browser that comes from another site would not send a strict cookie along.
        """
        rest = urlencode([(name, value) for name, value in request.args.items() if name not in ("token", "link")])
        here = request.path if request.path in map(path, BOARDS) else "/"
        address = html.escape(f"{here}?{rest}" if rest else here)
        response = Response(
            _PAGE.format(
                head=f'<meta http-equiv="refresh" content="0;url={address}">', text=f'<a href="{address}">Come in</a>'
            )
        )
        age_s = max(1, viewer.until_s - int(time.time()))
        response.set_cookie(self._cookie, text, max_age=age_s, httponly=True, samesite="Strict")
        response.headers["Cache-Control"] = "no-store"
        return response


def token(settings: Settings) -> bytes:
    """The token that lets viewers in; empty where the page is open. It is made in the data folder where none is set."""
    if settings.live_token or _is_loopback(settings.host):
        return settings.live_token.encode()
    return made_once(settings.data / "live-token", secrets.token_hex(32).encode()).strip()


def link(settings: Settings, advertiser: str, days: int) -> str:
    """The address that shows one advertiser's boards for so many days."""
    text = view_link(settings.keys().signing(), advertiser, int(time.time()) + days * DAY_S)
    return f"{settings.live}/campaign?{urlencode({'range': '30d', 'link': text}, safe='~')}"


def is_local(request: Request) -> bool:
    """Whether a request was made on this machine, for this machine: no proxy's, and no other name's for its address.

    (A name that anybody's DNS leads to 127.0.0.1 would let the pages of its owner read ours.)
    """
    host = urlsplit(f"//{request.host}").hostname or ""
    return (host == "localhost" or _is_loopback(host)) and not any(
        name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refused(why: str) -> Response:
    response = Response(_PAGE.format(head="", text=html.escape(why)), 401)
    response.headers["Cache-Control"] = "no-store"
    return response
