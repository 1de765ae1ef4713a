"""`/v/…`: conversions. A page reports them with a pixel, an advertiser's server with a token and JSON."""

import json
from collections.abc import Callable
from typing import Any

from flask import Response, request

from ingest import order
from ingest.answers import GIF, UNCACHED
from ingest.order import Wrong
from ingest.reading import CAMPAIGN
from ingest.recorder import Recorder
from pixeltally.keys import Keys
from pixeltally.signing import is_token

MAX_BODY_BYTES = 64 * 1024


class Number(str):
    """A JSON number as it is written: it never becomes a float."""

    __slots__ = ()


class Refusal(Exception):
    """A report that is not taken: status, what is wrong, and the field that it is about."""

    def __init__(self, status: int, error: str, field: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.field = field


def pixel(recorder: Recorder) -> Callable[[str], Response]:
    """The route of the Thank-You page's pixel: always the image."""

    def conversion_pixel(name: str) -> Response:
        if request.method == "GET":
            recorder.record("v", request.environ)
        return Response(GIF, mimetype="image/gif", headers=UNCACHED)

    return conversion_pixel


def postback(keys: Keys, recorder: Recorder) -> Callable[[str], Response]:
    """The route of servers' reports: 202 with the hit's id once it is in the spool."""

    def conversion_postback(name: str) -> Response:
        try:
            named = CAMPAIGN.fullmatch(name)
            if named is None:
                raise Refusal(404, "the path is /v/advertiser/campaign")
            _authorize(keys, named[1])
            hit_id = recorder.record("v", request.environ, postback=read(_body()))
        except Refusal as refusal:
            return _refuse(refusal)
        if not hit_id:
            return _refuse(Refusal(503, "the report could not be written down; send it again"))
        return _json(202, {"id": hit_id})

    return conversion_postback


def read(body: bytes) -> dict[str, str]:
    """The report's fields, checked, under the names that the pixel's query has; raises :class:`Refusal`."""
    said = _object(body)
    try:
        fields = {
            "order": order.order(_text(said, "order")),
            "value": order.value(_text(said, "value")) if _has(said, "value") else "",
            "currency": order.currency(_text(said, "currency")) if _has(said, "currency") else "",
            "pt_click": order.click(_text(said, "click")) if _has(said, "click") else "",
            "s": order.name("subscriber", _text(said, "subscriber")) if _has(said, "subscriber") else "",
        }
        for unknown in said.keys() - {"order", "value", "currency", "click", "subscriber"}:
            raise Wrong(unknown[: order.MAX_CHARS], "is no field of a conversion")
    except Wrong as wrong:
        raise Refusal(422, str(wrong), wrong.field) from None
    return {name: text for name, text in fields.items() if text}


def _has(said: dict[str, Any], field: str) -> bool:
    return said.get(field) is not None


def _text(said: dict[str, Any], field: str) -> str:
    """A field's text; of `order` and `value` also a number, as it is written."""
    text = said.get(field)
    if text is None:
        raise Wrong(field, "is missing")
    if type(text) is not str and not (field in ("order", "value") and type(text) is Number):
        raise Wrong(field, "must be a string")
    if not text:
        raise Wrong(field, "is empty")
    return str(text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(
            body, parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError):
        raise Refusal(422, "the body is not JSON") from None
    if not isinstance(said, dict):
        raise Refusal(422, "the body is not a JSON object")
    return said


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        raise Refusal(422, "the body names a field twice")
    return said


def _authorize(keys: Keys, advertiser: str) -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not is_token(keys.accepted(), advertiser, token.strip()):
        raise Refusal(401, f"not a valid token of {advertiser}; `pixeltally advertiser token {advertiser}` prints it")


def _body() -> bytes:
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise Refusal(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    if request.mimetype != "application/json":
        raise Refusal(415, "the body must be application/json")
    # A body sent in chunks tells no length.
    body: bytes = request.environ["wsgi.input"].read(MAX_BODY_BYTES + 1 if length is None else length)
    if len(body) > MAX_BODY_BYTES:
        raise Refusal(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return body


def _refuse(refusal: Refusal) -> Response:
    body = {"error": str(refusal), **({"field": refusal.field} if refusal.field else {})}
    response = _json(refusal.status, body)
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if refusal.status == 503:
        response.headers["Retry-After"] = "1"
    return response


def _json(status: int, body: dict[str, str]) -> Response:
    return Response(f"{json.dumps(body)}\n", status=status, mimetype="application/json", headers=UNCACHED)
