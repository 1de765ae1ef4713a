"""Where a click leads: the signed URL, with our click id in its query."""

import re
from urllib.parse import quote, urlsplit, urlunsplit

#: Everything that RFC 3986 allows in a URL; the rest (non-ASCII, spaces) is percent-encoded.
_URL_CHARS = ";/?:@&=+$,#[]!'()*~%"

_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def is_allowed(url: str) -> bool:
    """Whether a click may lead there: an absolute http(s) URL without control characters or spaces."""
    if _CONTROL.search(url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def with_click(url: str, click_id: str) -> str:
    """The URL with `pt_click` added to its query; all that it holds stays as it is, to the letter."""
    parts = urlsplit(url)
    query = f"{parts.query}&pt_click={click_id}" if parts.query else f"pt_click={click_id}"
    return quote(urlunsplit(parts._replace(query=query)), safe=_URL_CHARS)
