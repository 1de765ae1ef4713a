"""The tags that `pixeltally pixel` prints: whatever is pasted reaches ingest as it was meant."""

import json
import shlex
from html.parser import HTMLParser
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from ingesting import Ingest

from pixeltally.cli import main
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from pixeltally.tags import AD_SERVERS, MAIL_SERVICES, tags

UNIT, TARGET = "acme/spring/banner/blog", 'https://x.example/?a=1&b="<é>&to=y#top'
CLICK = "01890a5d-ac96-774b-bcce-b302099a8057"
PUBLIC = "https://t.example"


class Html(HTMLParser):
    """The attributes of the one `img`, and of the `a` around it."""

    def __init__(self, text):
        super().__init__()
        self.found = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert tag not in self.found
        self.found[tag] = dict(attributes)


def source(tag):
    """The URL that a browser asks for, relative to the public address."""
    return relative(Html(tag).found["img"]["src"])


def relative(url):
    assert url.startswith(f"{PUBLIC}/")
    return url.removeprefix(PUBLIC)


@pytest.fixture
def ingest(tmp_path):
    return Ingest(tmp_path / "data", PIXELTALLY_PUBLIC_URL=f"{PUBLIC}/")


def only(ingest):
    [found] = ingest.read()
    return found


def test_the_page_and_email_pixels_count(ingest):
    made = tags(ingest.settings, UNIT, None, "anna & <bob>")
    for place, kind in (("page", "impression"), ("email", "open")):
        ingest.get(source(made[place]))
        hit = only(ingest)
        assert (hit.kind, hit.placement, hit.subscriber) == (kind, "blog", "anna & <bob>")
        attributes = Html(made[place]).found["img"]
        assert (attributes["width"], attributes["height"], attributes["alt"]) == ("1", "1", "")
    assert "click" not in made


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_subscriber_comes_through(subscriber):
    made = tags(Settings.from_env({"PIXELTALLY_SECRET": "s"}), UNIT, TARGET, subscriber)
    for url in (Html(made["page"]).found["img"]["src"], made["click"]):
        assert parse_qs(urlsplit(url).query)["s"] == [subscriber]


def test_the_click_leads_to_the_target(ingest):
    for tag in (tags(ingest.settings, UNIT, TARGET, None), tags(ingest.settings, UNIT, TARGET, "anna")):
        answer = ingest.get(relative(tag["click"]))
        hit = only(ingest)
        assert answer.status_code == 302
        assert answer.headers["Location"] == (f"https://x.example/?a=1&b=%22%3C%C3%A9%3E&to=y&pt_click={hit.id}#top")
        assert hit.params == {"to": TARGET}


def test_the_image_leads_to_the_target_too(ingest):
    path = ingest.settings.images / f"{UNIT}.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"an image")
    tag = tags(ingest.settings, UNIT, TARGET, None)["image"]
    assert ingest.get(source(tag)).data == b"an image"
    assert ingest.get(relative(Html(tag).found["a"]["href"])).status_code == 302
    assert [hit.kind for hit in ingest.read()] == ["impression", "click"]


def test_the_conversion_pixel_counts_once_it_is_filled_in(ingest):
    tag = tags(ingest.settings, UNIT, None, None)["conversion"]
    ingest.get(source(tag))
    assert only(ingest) == "bad-value"
    ingest.get(source(tag.replace("ORDER", "A-1").replace("VALUE", "12.50").replace("CLICK_ID", CLICK)))
    hit = only(ingest)
    assert (hit.campaign, hit.order, hit.value, hit.currency, hit.click_id) == ("spring", "A-1", "12.50", "EUR", CLICK)


def test_the_report_is_a_command_that_works(ingest):
    command = tags(ingest.settings, UNIT, None, None)["postback"]
    bearer = CliRunner().invoke(
        main, ["advertiser", "token", "acme"], env={"PIXELTALLY_DATA": str(ingest.settings.data)}
    )
    words = shlex.split(command.replace("$(pixeltally advertiser token acme)", bearer.output.strip()))
    url, body = words[3], words[-1].replace("VALUE", "5").replace("CLICK_ID", CLICK)
    assert words[:3] == ["curl", "-X", "POST"]
    headers = dict(word.split(": ", 1) for word in words if ": " in word and not word.startswith("{"))
    answer = ingest.client.post(relative(url), data=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert only(ingest).order == json.loads(body)["order"]


@pytest.mark.parametrize("server", AD_SERVERS, ids=lambda server: server.name)
def test_an_ad_servers_macros_stand_as_they_are_and_count_when_filled_in(ingest, server):
    made = tags(ingest.settings, UNIT, TARGET, None)
    url = source(made[f"ad, {server.name}"])
    assert url.endswith(f"?cb={server.cache_buster}")
    ingest.get(url.replace(server.cache_buster, "12345"))
    assert only(ingest).params == {}
    if server.click:
        counter = "https://ads.example/click?adurl="
        ours = made[f"click, {server.name}"].replace(server.click, counter).removeprefix(counter)
        assert "&" not in ours
        assert ingest.get(relative(unquote(ours))).status_code == 302


@pytest.mark.parametrize("service", MAIL_SERVICES)
def test_a_mail_services_field_becomes_the_subscriber(ingest, service):
    made = tags(ingest.settings, UNIT, TARGET, None)
    field = MAIL_SERVICES[service]
    for url in (source(made[f"email, {service}"]), relative(made[f"click, {service}"])):
        assert field in url
        assert ingest.get(url.replace(field, "4711")).status_code in (200, 302)
        assert only(ingest).subscriber == "4711"


@pytest.mark.parametrize(
    ("unit", "target"),
    [("acme/spring", None), ("Acme/spring/banner", None), (UNIT, "javascript:alert(1)"), (UNIT, "https://x y")],
)
def test_what_would_not_work_is_refused(unit, target):
    with pytest.raises(Refused):
        tags(Settings.from_env({"PIXELTALLY_SECRET": "s"}), unit, target, None)


def test_the_command_prints_them(tmp_path):
    environ = {"PIXELTALLY_DATA": str(tmp_path / "data")}
    done = CliRunner().invoke(main, ["pixel", UNIT, "--to", "https://x.example/"], env=environ)
    lines = done.output.splitlines()
    assert (done.exit_code, lines[0]) == (0, "page:")
    assert lines[1].startswith('  <img src="http://127.0.0.1:8080/p/acme/spring/banner/blog.gif"')
    assert lines[lines.index("click:") + 1].startswith("  http://127.0.0.1:8080/c/acme/spring/banner/blog?to=")
