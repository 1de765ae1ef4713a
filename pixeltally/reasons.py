"""Why something could not be counted: the names that dead letters bear, in words. docs/dead-letters.md says more."""

REASONS = {
    "bad-name": "the path names no ad unit",
    "unknown-path": "the request is for no pixel, image, click or conversion",
    "unknown-event": "e= is none of impression, open, view",
    "query-too-long": "the query has more than 8,192 characters",
    "too-many-fields": "the query has more than 50 fields",
    "no-image": "no file is registered under the image's name, so no ad was shown",
    "bad-order": "the conversion's order has more than 256 characters, or unprintable ones",
    "bad-value": "the conversion's value is no plain decimal such as 12.50",
    "bad-currency": "the conversion's currency is not three capital letters",
    "no-address": "no subscriber is named and the client's address is unknown",
    "gpc-left-out": "nginx was not told to write Sec-GPC and DNT, which PIXELTALLY_GPC asks for",
    "bad-target": "the click's to= is not an http or https URL; it was answered with 400",
    "bad-signature": "the click's k= is missing or wrong; it was answered with 400",
    "bad-request": "the request is no HTTP",
    "request-too-long": "the request is longer than is read",
    "unreadable-line": "the line is no request: torn by a crash, or not JSON",
    "not-a-hit": "the line is not JSON or lacks what a hit must have",
    "refused-by-clickhouse": "ClickHouse can't read the line",
}
