"""Requests that nobody should send: a list made by hand, and a generator of as many more as one likes."""

import random
from urllib.parse import quote

from pixeltally.keys import key_of
from pixeltally.signing import sign

SECRET = "of the hostile tests"
UNIT = "acme/spring/banner"

#: Where a signed link may lead; nothing else may ever be a Location's host.
SHOP = "https://shop.example/offer"

#: What a hostile request must never get into an answer's head.
INJECTED = "x-injected"


def click(target: str, unit: str = UNIT, key: str | None = None) -> str:
    """A click's target, signed unless `key` is given."""
    signature = sign(key_of(SECRET.encode()), unit, target) if key is None else key
    return f"/c/{unit}?to={quote(target, safe='')}&k={signature}"


def get(target: str | bytes, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request as bytes."""
    path = target if isinstance(target, bytes) else target.encode()
    head = "".join(f"\r\n{header}" for header in headers).encode()
    return method.encode() + b" " + path + b" HTTP/" + version.encode() + b"\r\nHost: t.example" + head + b"\r\n\r\n"


PIXEL = f"/p/{UNIT}.gif"

#: (request, its outcome): the reason among the dead letters, `counted`, or `nothing` where nothing may be written down.
BY_HAND: list[tuple[bytes, str]] = [
    (get(PIXEL), "counted"),
    (get(f"/{PIXEL}"), "counted"),
    (get(f"http://anybody.example{PIXEL}"), "counted"),
    (get("/%70%2Facme/spring/banner.gif"), "counted"),
    (get("/p/acme/spring/%62anner.gif"), "counted"),
    (get(f"{PIXEL}?s=%ff%00%f0"), "counted"),
    (get(PIXEL.encode() + b"?s=m\xc3\xbcller&x=\xff"), "counted"),
    (get(PIXEL, "X-Forwarded-For: not, an, address,,,", "User-Agent: \xff\x80"), "counted"),
    (get(PIXEL, "Cookie: " + "a" * 40_000), "counted"),
    (get(PIXEL, *[f"X-{n}: {n}" for n in range(2000)]), "counted"),
    (get(PIXEL, "Range: bytes=0-0", "If-None-Match: *", "Expect: 100-continue"), "counted"),
    (get(PIXEL, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n", "counted"),
    (get(PIXEL, "Content-Length: 5") + b"GET /", "counted"),
    (get(PIXEL, version="1.0"), "counted"),
    (b"GET " + PIXEL.encode() + b"\r\n\r\n", "counted"),
    (get(PIXEL, "Connection: Upgrade", "Upgrade: websocket"), "counted"),
    (get(click(SHOP)), "counted"),
    (get("/p/"), "bad-name"),
    (get("/p/../../etc/passwd"), "bad-name"),
    (get("/p/%2e%2e/%2e%2e/etc/passwd.gif"), "bad-name"),
    (get("/p/%252e%252e/x/y.gif"), "bad-name"),
    (get("/p/acme/spring/banner%00.gif"), "bad-name"),
    (get("/p/ACME/spring/banner.gif"), "bad-name"),
    (get(b"/p/acme/spring/\xff\xfe.gif"), "bad-name"),
    (get("/p/" + "a" * 60_000 + ".gif"), "bad-name"),
    (get(f"{PIXEL}?" + "x" * 9000), "query-too-long"),
    (get(f"{PIXEL}?" + "a&" * 60), "too-many-fields"),
    (get(f"{PIXEL}?e=melt"), "unknown-event"),
    (get(b"/p/acme/spring/\x01.gif"), "bad-request"),
    (get("/p/acme/spring banner.gif"), "bad-request"),
    (get(PIXEL, "no header"), "bad-request"),
    (get(PIXEL, "X: a\x00b"), "bad-request"),
    (get(PIXEL, "Content-Length: 3", "Transfer-Encoding: chunked"), "bad-request"),
    (get(PIXEL, "Content-Length: -1"), "bad-request"),
    (get(PIXEL, "Transfer-Encoding: chunked") + b"zz\r\n", "bad-request"),
    (get(PIXEL, "Cookie: " + "a" * 200_000), "request-too-long"),
    (get("/p/" + "a" * 200_000), "request-too-long"),
    (get(PIXEL, "Content-Length: 300000") + b"a" * 300_000, "request-too-long"),
    (get(click(SHOP, key="wrong")), "bad-signature"),
    (get(click("https://evil.example/", key=sign(key_of(SECRET.encode()), UNIT, SHOP))), "bad-signature"),
    (get(click(SHOP).replace("banner", "video")), "bad-signature"),
    (get(click("javascript:alert(1)")), "bad-target"),
    (get(click("//evil.example/")), "bad-target"),
    (get(click("https://shop.example/\r\nX-Injected: 1")), "bad-target"),
    (get(click("https:///offer")), "bad-target"),
    (get(f"/c/{UNIT}"), "bad-target"),
    (get("/c/"), "bad-name"),
    (get("/c//evil.example/%2f.."), "bad-name"),
    (get(click(SHOP), "no header"), "bad-request"),
    (get(PIXEL, method="HEAD"), "nothing"),
    (get(click(SHOP), method="HEAD"), "nothing"),
    (get(PIXEL, "Content-Length: 2", method="POST") + b"ab", "nothing"),
    (get(PIXEL, method="OPTIONS"), "nothing"),
    (get(PIXEL, method="DELETE"), "nothing"),
    (get("*", method="OPTIONS"), "nothing"),
    (get("t.example:443", method="CONNECT"), "nothing"),
    (get("/../etc/passwd"), "nothing"),
    (get("//evil.example/%2e%2e"), "nothing"),
    (get("/healthz%0d%0aX-Injected:1"), "nothing"),
    (get(PIXEL)[:-2], "nothing"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "nothing"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "nothing"),
    (b"\r\n" * 5000, "nothing"),
]

_METHODS = ["GET"] * 24 + ["HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "GET\t"]
_ROUTES = (
    ["/p/"] * 8 + ["/c/"] * 4 + ["//p/", "/%70/", "/p%2f", "/P/", "/i/", "/v/", "/", "http://h/p/", "https://h/c/", "*"]
)
_NAMES = ["acme", "spring", "banner", "a", "z" * 64, "z" * 65, "", ".", "..", "%2e%2e", "%252e", "%00", "%ff", "%c3%28"]
_NAMES += ["A", "a b", "a\\b", "~", "-x", "ü", "\x7f", "a;b", "a#b", "\u202e", "%0d%0aX-Injected:1", "con", "x" * 5000]
_ENDS = [".gif"] * 6 + [".png", "", ".svg", ".gif/", ".gif%00.png", ".GIF", "?", "#"]
_QUERIES = [
    "",
    "s=a",
    "s=%ff",
    "e=open",
    "e=x",
    "cb=1&cb=2",
    "a" * 9000,
    "&" * 100,
    "=",
    "s=" + "%00" * 50,
    "to=//evil.example",
]
_QUERIES += [
    "to=https://evil.example&k=0",
    "to=https:/%0d%0aX-Injected:1&k=x",
    "k=",
    "s=\xfc",
    "x[]=1",
    "s=" + "s" * 3000,
]
_HEADERS = ["Host: evil.example", "Host:", "Connection: close", "Connection: keep-alive, Upgrade", "Upgrade: h2c"]
_HEADERS += [
    "X-Forwarded-For: 1.2.3.4, ::1",
    "X-Forwarded-For: " + "9" * 3000,
    "X_Forwarded_For: 1.1.1.1",
    'Forwarded: for="[::1',
]
_HEADERS += [
    "User-Agent: \xe9\xff",
    "Referer: javascript:1",
    "Content-Length: 3",
    "Content-Length: 99999999999999999999",
    "X: a\x00b",
]
_HEADERS += [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Content-Length: +1",
    " folded",
    "no colon",
    ": empty",
]
_HEADERS += ["Expect: 100-continue", "Accept-Encoding: gzip", "Cookie: " + "c" * 20_000, "X-Original-URL: /metrics"]
_BODIES = [b""] * 20 + [
    b"abc",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"ffffffffff\r\n",
    b"\x00" * 100,
    b"GET /p/a/b/c.gif HTTP/1.1\r\n\r\n",
]


def generated(seed: int, count: int) -> list[bytes]:
    """Requests, some of them several in one go, some broken in random places; the same for the same seed."""
    draw = random.Random(seed)
    return [_mangled(draw, b"".join(_one(draw) for _ in range(draw.choice([1] * 9 + [3])))) for _ in range(count)]


def _one(draw: random.Random) -> bytes:
    names = "/".join(
        draw.choice(_NAMES[: draw.choice([5, len(_NAMES)])]) for _ in range(draw.choice([3, 3, 3, 4, 0, 2, 40]))
    )
    target = draw.choice(_ROUTES) + names + draw.choice(_ENDS) + "?" + draw.choice(_QUERIES)
    if draw.random() < 0.05:
        target = click(draw.choice([SHOP, "javascript:1", "https://shop.example/\x00"]))
    headers = [draw.choice(_HEADERS) for _ in range(draw.choice([0, 0, 0, 1, 1, 3]))]
    encoded = target.encode("utf-8" if draw.random() < 0.5 else "latin-1", "replace")
    version = draw.choice(["1.1"] * 20 + ["1.0", "0.9", "2.0", "9.9", ""])
    return get(encoded, *headers, method=draw.choice(_METHODS), version=version) + draw.choice(_BODIES)


def _mangled(draw: random.Random, data: bytes) -> bytes:
    if draw.random() < 0.8:
        return data
    changed = bytearray(data)
    for _ in range(draw.randint(1, 5)):
        place = draw.randrange(len(changed))
        changed[place : place + draw.choice([0, 1, 1, 4])] = draw.randbytes(draw.choice([0, 1, 1, 4]))
    return bytes(changed[: draw.choice([len(changed), len(changed), draw.randrange(len(changed) + 1)])])
