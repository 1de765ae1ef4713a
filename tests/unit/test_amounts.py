"""Amounts are exact, and rounded to what a currency has coins for; terms that make no sense are refused."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import money
from ledger.terms import Terms, changed
from pixeltally.errors import Refused

CPM = Terms("cpm", "unique", Decimal("10"), "USD", "Europe/Berlin")


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.005", "EUR", "0.01"),
        ("0.00499999999", "EUR", "0.00"),
        ("2.345", "USD", "2.35"),
        ("2.335", "USD", "2.34"),
        ("99.5", "JPY", "100"),
        ("98.5", "JPY", "99"),
        ("0.0005", "KWD", "0.001"),
        ("1234567890123.455", "EUR", "1234567890123.46"),
    ],
)
def test_amounts_are_rounded_half_up_to_the_minor_unit(amount, currency, rounded):
    assert str(money.rounded(Decimal(amount), currency)) == rounded


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**8)), max_size=20))
def test_what_is_rounded_is_never_further_off_than_half_a_coin(lines):
    for quantity, price in lines:
        exact = quantity * Decimal(price).scaleb(-6) / 1000
        assert abs(money.rounded(exact, "EUR") - exact) <= Decimal("0.005")


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("10", "USD", "10.00 USD"),
        ("0.0375", "EUR", "0.0375 EUR"),
        ("1250", "JPY", "1,250 JPY"),
        ("1E+3", "KWD", "1,000.000 KWD"),
        ("2.5000", "", "2.5"),
        ("2.5000", "ZZZ", "2.5 ZZZ"),
    ],
)
def test_amounts_are_shown_to_the_minor_unit_or_to_the_last_decimal(amount, currency, shown):
    assert money.text(Decimal(amount), currency) == shown


@pytest.mark.parametrize("text", ["", "ten", "-1", "1e20", "NaN", "Infinity", "0.0000001", "1,5"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(Refused, match="is no amount"):
        money.decimal(text, "--price")


@pytest.mark.parametrize("currency", ["", "usd", "EURO", "ZZZ", "XAU"])
def test_what_is_no_currency_is_refused(currency):
    with pytest.raises(Refused, match="ISO 4217"):
        money.minor_units(currency)


def test_what_is_not_said_stays_as_it_was():
    assert changed(CPM, {"price": Decimal("12.5")}) == Terms("cpm", "unique", Decimal("12.5"), "USD", "Europe/Berlin")
    planned = {"budget": Decimal(5), "plan_start": date(2026, 11, 1), "plan_end": date(2026, 11, 30)}
    with_plan = changed(CPM, planned)
    assert changed(with_plan, {"currency": "EUR"}).plan_end == date(2026, 11, 30)
    assert changed(with_plan, {"budget": Decimal(0)}) == CPM


@pytest.mark.parametrize("pricing", ["cpc", "cpa"])
def test_clicks_and_conversions_are_paid_by_the_valid_ones_unless_said(pricing):
    assert changed(CPM, {"pricing": pricing}) == Terms(pricing, "valid", Decimal("10"), "USD", "Europe/Berlin")
    gross = changed(CPM, {"pricing": pricing, "basis": "gross"})
    assert gross == Terms(pricing, "gross", Decimal("10"), "USD", "Europe/Berlin")
    assert changed(gross, {"pricing": pricing, "price": Decimal(9)}).basis == "gross"
    assert changed(gross, {"pricing": {"cpc": "cpa", "cpa": "cpc"}[pricing]}).basis == "valid"


@pytest.mark.parametrize(
    ("known", "said", "sentence"),
    [
        (None, {"price": Decimal(1)}, "say all"),
        (None, {"pricing": "cpm", "price": Decimal(1), "currency": "EUR"}, "say which"),
        (Terms("cpc", "valid", Decimal(1), "EUR"), {"pricing": "cpm"}, "say which"),
        (CPM, {"currency": "BTC"}, "no currency"),
        (CPM, {"budget": Decimal(1)}, "say --start and --end"),
        (CPM, {"budget": Decimal(1), "plan_start": date(2026, 2, 2), "plan_end": date(2026, 2, 1)}, "say --start"),
    ],
)
def test_terms_that_make_no_sense_are_refused(known, said, sentence):
    with pytest.raises(Refused, match=sentence):
        changed(known, said)
