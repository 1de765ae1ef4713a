"""A statement as PDF, for people: its numbers, what they mean, and by which hash its JSON is known."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from fpdf import FPDF
from fpdf.fonts import FontFace

_FONT = "Helvetica"
_GREY, _RED, _BLACK = (110, 110, 110), (180, 30, 30), (0, 0, 0)
_PALE = (240, 243, 247)

Counts = dict[str, Any]


def pdf(content: Counts, signed: bytes) -> bytes:
    """The statement, drawn; `signed` is its JSON file."""
    page = FPDF(format="A4")
    page.set_creation_date(datetime.fromtimestamp(content["end"], UTC))  # the same statement is the same file
    page.set_title(_title(content))
    page.set_margins(18, 18)
    page.add_page()
    page.set_font(_FONT, "B", 17)
    page.cell(text=_title(content), new_x="LMARGIN", new_y="NEXT", h=11)
    _say(page, f"{content['from']} to {content['to']}, days of {content['timezone']}", 11)
    for sentence in _warnings(content):
        _say(page, sentence, 10, _RED)
    _table(page, ("impressions", "requests"), _outcomes(content["total"]["impressions"]))
    _table(page, ("clicks", "requests"), _outcomes(content["total"]["clicks"]))
    conversions = content["total"]["conversions"]
    worth = [(f"worth, {currency}", value) for currency, value in conversions["value"].items()]
    _table(page, ("conversions", "orders"), [("orders, each once", f"{conversions['orders']:,}"), *worth])
    _owed(page, content)
    _days(page, content["days"])
    _fine_print(page, content, signed)
    return bytes(page.output())


def _title(content: Counts) -> str:
    return f"Statement: {content['advertiser']}/{content['campaign']}"


def _warnings(content: Counts) -> Iterator[str]:
    if content["preliminary"]:
        yield "Preliminary: it was made before its days were over."
    if content["corrects"]:
        yield f"It corrects statement {content['corrects']['statement']}: {content['corrects']['why']}"


def _outcomes(its: Counts) -> list[tuple[str, str]]:
    rows = [("gross: all of them", f"{its['gross']:,}")]
    rows += [(f"invalid: {reason}", f"{-count:,}") for reason, count in sorted(its["invalid"].items())]
    rows += [("duplicates", f"{-its['duplicates']:,}"), ("valid", f"{its['valid']:,}")]
    if "unique" in its:
        rows.append(("unique IPs or subscribers, duplicates included", f"{its['unique']:,}"))
    if "attributed" in its:
        rows.append(("of them, attributed to an impression", f"{its['attributed']:,}"))
    return rows


def _owed(page: FPDF, content: Counts) -> None:
    if not content["lines"]:
        _say(page, "No terms held on these days, so nothing is owed by this statement.", 9, _GREY)
        return
    rows = [
        (
            f"{line['from']} to {line['to']}: {line['quantity']:,} by {line['pricing'].upper()} on {line['basis']}"
            f" at {line['price']} {line['currency']}",
            f"{line['amount']} {line['currency']}",
        )
        for line in content["lines"]
    ]
    rows += [("total", f"{amount} {currency}") for currency, amount in content["amounts"].items()]
    _table(page, ("owed", "amount"), rows)


def _days(page: FPDF, days: Sequence[Counts]) -> None:
    rows = [
        (
            day["day"],
            *(f"{day['impressions'][name]:,}" for name in ("gross", "duplicates", "valid", "unique")),
            f"{day['clicks']['valid']:,}",
            f"{day['conversions']['orders']:,}",
        )
        for day in days
    ]
    _table(page, ("day", "gross", "duplicates", "valid", "unique", "clicks", "orders"), rows)


def _fine_print(page: FPDF, content: Counts, signed: bytes) -> None:
    page.ln(4)
    complete = content["completeness"]
    dead = sum(complete["dead"].values())
    _say(
        page,
        f"Of all campaigns, {complete['answered']:,} requests were answered in these days; {complete['lost']:,} of them"
        f" could not be written down, {dead:,} can't be counted.",
        8,
        _GREY,
    )
    for name, says in content["methodology"]["definitions"].items():
        _say(page, f"{name}: {says}", 8, _GREY)
    if content["archive"]:
        _say(page, f"archive of the raw log: {content['archive']['root']}", 8, _GREY)
    _say(page, f"SHA-256 of the signed statement (JSON): {sha256(signed).hexdigest()}", 8, _GREY)
    _say(page, "Check it with `pixeltally verify FILE`.", 8, _GREY)


def _table(page: FPDF, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    page.ln(4)
    page.set_font(_FONT, "", 9)
    with page.table(
        text_align=("LEFT", *["RIGHT"] * (len(head) - 1)),
        borders_layout="HORIZONTAL_LINES",
        line_height=5.5,
        headings_style=FontFace(emphasis="BOLD", fill_color=_PALE),
    ) as table:
        for row in (head, *rows):
            table.row(row)


def _say(page: FPDF, sentence: str, size: int, color: tuple[int, int, int] = _BLACK) -> None:
    page.set_font(_FONT, "", size)
    page.set_text_color(*color)
    text = sentence.encode("latin-1", "replace").decode("latin-1")
    page.multi_cell(0, size * 0.5, text, align="LEFT", new_x="LMARGIN", new_y="NEXT")
    page.set_text_color(*_BLACK)
