"""The event model: what a hit, its fact and a dead letter hold, line by line of NDJSON."""

from typing import Annotated, Literal

import msgspec

Kind = Literal["impression", "open", "view", "click", "conversion"]

#: Kinds that are requests for an ad unit's image.
IMAGE_KINDS = frozenset({"impression", "open", "view"})

#: The verdict of what is no invalid traffic.
VALID = "valid"

#: The visitor of a request that asked not to be known: no duplicate of any, and not among uniques.
NOBODY = 0

#: What the names of nodes begin with that have no segments: of imported logs, and of dead letters that were put back.
IMPORTED, PUT_BACK = "import-", "dead-"

#: An exact decimal that fits Decimal(18,4), or nothing.
Amount = Annotated[str, msgspec.Meta(pattern=r"\A([0-9]{1,14}(\.[0-9]{1,4})?)?\Z")]

#: What each part of an ad unit's name looks like.
NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"


class Hit(msgspec.Struct, omit_defaults=True, gc=False):
    """One counted request: a line of `pixeltally.hits`."""

    id: str  #: UUIDv7, made from (ts, node, seq), so that the same request always gets the same
    ts: int  #: when it was answered, epoch milliseconds
    kind: Kind
    advertiser: str
    campaign: str
    visitor: int  #: keyed hash of the subscriber, else of the address; or `NOBODY`
    node: str  #: the spool that it was written to
    seq: int  #: its place there; grows within a node
    creative: str = ""
    placement: str = ""
    subscriber: str = ""
    ip: str = ""
    user_agent: str = ""
    referer: str = ""
    purpose: str = ""  #: of a request for something not shown yet: `prefetch`, as the browser says it
    params: dict[str, str] = {}
    order: str = ""  #: of a conversion: what tells it from others of its campaign
    value: Amount = ""
    currency: str = ""
    click_id: str = ""  #: the click that it says it came from


class Fact(Hit, omit_defaults=True, kw_only=True, gc=False):
    """A hit with what streams found: a line of `pixeltally.facts`."""

    verdict: str  #: `VALID`, or the first of the reasons why it is invalid traffic
    version: int  #: offset of the message that it was judged at; the highest wins
    reasons: list[str] = []  #: all of them, the verdict first
    rules_version: str = ""  #: of the rules and of the lists that they rest on
    duplicate: bool = False
    evidence: str = ""  #: of an e-mail's open: machine, proxy or probable
    country: str = ""  #: ISO 3166-1 alpha-2
    asn: int = 0  #: number of the address's autonomous system
    isp: str = ""  #: whose that is
    browser: str = ""
    os: str = ""
    device: str = ""  #: desktop, mobile, tablet, tv, console
    impression_id: str = ""  #: of a click: the impression that it followed
    seconds_to_click: float = 0.0
    seconds_to_conversion: float | None = None  #: of a conversion that named no click, and whose click was found


class Dead(msgspec.Struct):
    """What could not be processed: a line of `pixeltally.dead`."""

    id: str  #: made from its origin: the same dead letter always gets the same
    ts: int  #: when it was found, epoch milliseconds
    reason: str  #: one of the names in docs/dead-letters.md
    origin: str  #: where the line stands: `spool NODE@SEQ` or `TOPIC/PARTITION@OFFSET#LINE`
    line: str  #: the line itself, as far as it is text


class Minute(msgspec.Struct):
    """What one partition counted in one minute of one ad unit: a line of `pixeltally.minutes`."""

    minute: int  #: its start, epoch seconds
    advertiser: str
    campaign: str
    creative: str
    placement: str
    partition: int
    version: int  #: offset of the last message counted in; the highest wins
    gross: int = 0
    invalid: int = 0
    reasons: dict[str, int] = {}  #: the invalid ones by verdict
    duplicates: int = 0
    valid: int = 0
    uniques: int = 0
    clicks: int = 0
    attributed_clicks: int = 0
    conversions: int = 0
    revenue: str = "0"
    late: bool = False  #: says that a hit came after the minute's close: it is recounted from facts
