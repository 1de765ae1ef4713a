"""One line of the spool: a request as it came, before anyone judged it.

The web workers and the nginx front write the same lines, so that one reader counts both.
"""

import msgspec

#: Of what a request says it is for.
MAX_PURPOSE_CHARS = 64


class Request(msgspec.Struct, omit_defaults=True, gc=False):
    """A request that was answered."""

    time: float  #: when, epoch seconds with milliseconds
    uri: str  #: path and query as sent, percent-encoded
    peer: str  #: address of the connection
    forwarded_for: str = ""  #: X-Forwarded-For
    forwarded: str = ""  #: Forwarded (RFC 7239)
    user_agent: str = ""
    referer: str = ""
    gpc: str = ""  #: Sec-GPC
    dnt: str = ""  #: DNT
    purpose: str = ""  #: Sec-Purpose, Purpose and X-Moz, one behind the other
    method: str = "GET"  #: nginx writes down every request that it answers
    postback: bool = False  #: reported by the advertiser's server, whose token was right
    gpc_left_out: bool = False  #: nginx was told to write neither of the two
    refused: str = ""  #: why it must not be counted, where the answer already said no
    visitor: int | None = None  #: in the archive, where no whole address may be kept: whose it was (`Hit.visitor`)
    offset: int | None = None  #: likewise: where in its segment the line stood

    @property
    def ts(self) -> int:
        """When, in epoch milliseconds."""
        return round(self.time * 1000)


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Request).decode
