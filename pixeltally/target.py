"""Where a click leads: the signed URL, with our click id in its query."""

import re
from urllib.parse import quote, unquote_plus, urlsplit

import idna

#: Everything that RFC 3986 allows in a URL; the rest (non-ASCII, spaces) is percent-encoded.
_URL_CHARS = ";/?:@&=+$,#[]!'()*~%"

#: A backslash is a slash to browsers and none to us: they would not agree on the host.
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")

_HOST = re.compile(r"^([a-z]+://(?:[^/?#]*@)?)([^/?#:\[\]]*)", re.IGNORECASE)

CLICK = "pt_click"


def is_allowed(url: str) -> bool:
    """Whether a click may lead there: an absolute http(s) URL without control characters, spaces or backslashes."""
    if _NOT_IN_URLS.search(url):
        return False
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        return is_one and bool(_ascii_host(url))
    except (ValueError, idna.IDNAError):
        return False


def with_click(url: str, click_id: str) -> str:
    """The URL with `pt_click` as the last of its query; all else that it holds stays as it is, to the letter.

    One that it has already is another click's, and goes. An empty id adds none.
    """
    base, hash, fragment = _ascii_host(url).partition("#")
    path, _, query = base.partition("?")
    fields = [field for field in query.split("&") if unquote_plus(field.partition("=")[0]) != CLICK]
    if click_id:
        fields = [*(fields if query else []), f"{CLICK}={click_id}"]
    query = "&".join(fields)
    return quote(f"{path}?{query}{hash}{fragment}" if query else f"{path}{hash}{fragment}", safe=_URL_CHARS)


def _ascii_host(url: str) -> str:
    """The URL with its host as DNS knows it (IDNA 2008, UTS 46, as browsers do)."""
    if url.isascii():
        return url
    return _HOST.sub(lambda found: found[1] + _idna(found[2]), url)


def _idna(host: str) -> str:
    return host if host.isascii() else idna.encode(host, uts46=True).decode()
