"""Agents: no person is taken for a bot, and bots are found that no rule was written from."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from streams.agents import Agents

SETS = Path(__file__).parents[1] / "agents"


def agents_of(name):
    return gzip.decompress((SETS / f"{name}.txt.gz").read_bytes()).decode().splitlines()


@pytest.fixture(scope="module")
def known():
    return Agents()


def test_no_person_of_952_is_taken_for_a_bot(known):
    people = agents_of("people")
    assert len(people) == 952
    assert [agent for agent, found in zip(people, known.look_up(people), strict=True) if found.automation] == []


def test_ninety_eight_percent_of_bots_are_found(known):
    bots = agents_of("bots")
    assert len(bots) == 1347
    found = [each.automation for each in known.look_up(bots)]
    assert sum(map(bool, found)) >= 0.98 * len(bots), Counter(found)


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Safari/537.36"
PHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {SAFARI} Mobile/15E148 Safari/604.1"
TABLET = PHONE.replace("iPhone; CPU iPhone OS", "iPad; CPU OS")
ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Mobile Safari/537.36"
TV = f"Mozilla/5.0 (Web0S; Linux/SmartTV) {WEBKIT} Safari/537.36 WebAppManager"
CONSOLE = f"Mozilla/5.0 (PlayStation; PlayStation 5/6.00) {SAFARI} Safari/605.1.15"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (WINDOWS, ("Chrome", "Windows", "desktop")),
        (PHONE, ("Mobile Safari", "iOS", "mobile")),
        (TABLET, ("Mobile Safari", "iOS", "tablet")),
        (ANDROID, ("Chrome Mobile", "Android", "mobile")),
        (ANDROID.replace(" Mobile", ""), ("Chrome", "Android", "tablet")),
        ("Opera/9.80 (Android; Opera Mini/82.0/191.2; U; en) Presto/2.12", ("Opera Mini", "Android", "mobile")),
        ("Dalvik/2.1.0 (Linux; U; Android 14; SM-S911B Build/UP1A)", ("Android", "Android", "")),
        (TV, ("Chrome", "Web0S", "tv")),
        (CONSOLE, ("Safari", "", "console")),
        ("", ("", "", "")),
        ("x", ("", "", "")),
    ],
)
def test_browser_system_and_device(known, agent, said):
    (found,) = known.look_up([agent])
    assert (found.browser, found.os, found.device) == said


@pytest.mark.parametrize(
    ("agent", "automation"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 (compatible; SomeNewBot/1.0; +https://new.example/bot)", "bot"),
        (WINDOWS.replace("Chrome/", "HeadlessChrome/"), "bot"),
        (WINDOWS.replace("like Gecko)", "like Gecko; SomeFetcher/1.0)"), "bot"),
        ("curl/8.5.0", "non-browser"),
        ("python-requests/2.32.3", "non-browser"),
        ("Python-urllib/3.11", "non-browser"),
        ("Go-http-client/2.0", "non-browser"),
        ("Mozilla/5.0 SomethingElse", "non-browser"),
        ("Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1682", "non-browser"),
        ("Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.19045; en-US) PowerShell/7.5.3", "non-browser"),
        ("Slack-ImgProxy (+https://api.slack.com/robots)", "bot"),
        ("Mozilla/5.0 (compatible; Notion/1.0; +https://notion.so)", "bot"),
        ("", ""),
    ],
)
def test_programs(known, agent, automation):
    assert known.look_up([agent])[0].automation == automation


@pytest.mark.parametrize(
    "agent",
    [
        ANDROID.replace("Android 10; K", "Android 9; CUBOT NOTE S Build/MRA58K"),
        ANDROID.replace("Android 10; K", "Android 7.0; M bot 60 Build/NRD90M; wv"),
        ANDROID.replace("Android 10; K", "Android 15; Pixel 8 Build/AP3A.240617.008; wv"),
        "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
        "Outlook-iOS/709.2226530.prod.iphone (3.24.1)",
        "Shop/4.2 CFNetwork/1408.0.4 Darwin/22.5.0",
        "Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B Build/TP1A.220624.014)",
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Electron/37.2 Safari/537.36 Sonic Slack_SSB/4.46.9",
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Notion/5.2.0 Electron/37.2.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML) Slack/25.10.20",
        "Instagram 402.0.0.49.89 Android (34/14; 480dpi; 1080x2340; samsung; SM-S911B; dm1q; qcom; en_US; 601234567)",
        "AppleCoreMedia/1.0.0.21F90 (iPhone; U; CPU OS 17_5_1 like Mac OS X; en_us)",
        "Roku/DVP-14.5 (14.5.4.5934-C2)",
        "HbbTV/1.5.1 (+DRM;Samsung;SmartTV2021:QAQ80;T-NKMDEUC-0912.30;)",
    ],
)
def test_phones_apps_and_mail_programs_are_peoples(known, agent):
    assert known.look_up([agent])[0].automation == ""


@pytest.mark.parametrize(
    ("agent", "mail"),
    [
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "proxy"),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "proxy"),
        ("Mozilla/5.0", "machine"),
        (f"{WINDOWS} Edge/12.246 Mozilla/5.0", "machine"),
        (f"{WINDOWS} Edge/12.246", ""),
        (WINDOWS, ""),
        (PHONE, ""),
    ],
)
def test_how_mail_programs_fetch_images(known, agent, mail):
    assert known.look_up([agent])[0].mail == mail


def test_a_column_has_an_answer_for_each_and_the_same_again(known):
    column = [WINDOWS, "", PHONE, WINDOWS, "\ud800", "A" * 100_000, "x\0y", "(" * 5000]
    found = known.look_up(column)
    assert found == known.look_up(column) == [known.look_up([agent])[0] for agent in column]
    assert found[0] is found[3]


def test_the_lists_have_versions(known):
    versions = known.versions()
    assert versions.keys() == {"crawler-user-agents", "crawlerdetect", "is-crawler", "ua-parser-builtins"}
    assert all(versions.values())
