"""Invoices as PDF, A4."""

from fpdf import FPDF
from fpdf.fonts import FontFace

from ledger.invoice import Invoice
from ledger.invoice_text import HEAD, RIGHT, cells, explanations, provisional, title, totals

_FONT = "Helvetica"
_GREY = (110, 110, 110)
_RED = (180, 30, 30)
_PALE = (240, 243, 247)
#: Of the columns of `HEAD`, of each other.
_WIDTHS = (22, 37, 35, 22, 34, 31)


def pdf(invoice: Invoice) -> bytes:
    """The invoice, drawn."""
    page = FPDF(format="A4")
    page.set_title(title(invoice))
    page.set_margins(18, 18)
    page.add_page()
    page.set_font(_FONT, "B", 18)
    page.cell(text=title(invoice), new_x="LMARGIN", new_y="NEXT", h=11)
    if invoice.is_provisional:
        _say(page, provisional(invoice), 10, _RED, "B")
    page.ln(4)
    _lines(page, invoice)
    page.ln(6)
    for sentence in explanations(invoice):
        _say(page, sentence, 8, _GREY)
    return bytes(page.output())


def _lines(page: FPDF, invoice: Invoice) -> None:
    if not invoice.lines:
        _say(page, "Nothing is owed.", 11, (0, 0, 0))
        return
    page.set_font(_FONT, "", 8)
    bold = FontFace(emphasis="BOLD")
    align = tuple("RIGHT" if number in RIGHT else "LEFT" for number in range(len(HEAD)))
    with page.table(
        col_widths=_WIDTHS,
        text_align=align,
        borders_layout="HORIZONTAL_LINES",
        line_height=5.5,
        headings_style=FontFace(emphasis="BOLD", fill_color=_PALE),
    ) as table:
        table.row(HEAD)
        for line in cells(invoice):
            table.row(line)
        for number, sum in enumerate(totals(invoice)):
            table.row(["" if number else "total", "", "", "", "", sum], style=bold)


def _say(page: FPDF, sentence: str, size: int, color: tuple[int, int, int], style: str = "") -> None:
    page.set_font(_FONT, style, size)
    page.set_text_color(*color)
    page.multi_cell(0, size * 0.55, sentence, align="LEFT", new_x="LMARGIN", new_y="NEXT")
    page.set_text_color(0)
