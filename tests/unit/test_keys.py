"""Keys: what they signed stays valid through rotations, for the time stated, on every node."""

import stat
import time

import msgspec
import pytest
from click.testing import CliRunner

from pixeltally import keys as module
from pixeltally.cli import main
from pixeltally.errors import Refused
from pixeltally.keys import Keys, key_of, parse, rows
from pixeltally.settings import Settings
from pixeltally.signing import is_signed, is_token, password, sign, token

UNIT, TARGET = "acme/spring/banner", "https://x.example/"
SECRETS = "old:0123456789abcdef,new:fedcba9876543210"


def ring(tmp_path, grace_days=400):
    return Keys((), tmp_path / "data", grace_days)


def age(tmp_path, days):
    """Move every rotation into the past."""
    file = tmp_path / "data" / "keys.json"
    added = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode([{**each, "created": each["created"] - days * 86_400} for each in added]))


def test_a_first_key_is_made_for_our_eyes_only(tmp_path):
    first = ring(tmp_path).first()
    assert ring(tmp_path).signing() == first
    ring(tmp_path).rotate()
    for name in ("secret", "keys.json"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["keys.json", "secret"]


def test_links_and_tokens_outlive_a_rotation_until_the_grace_ends(tmp_path):
    link, bearer = sign(ring(tmp_path).signing(), UNIT, TARGET), token(ring(tmp_path).signing(), "acme")
    ring(tmp_path).rotate()
    fresh = sign(ring(tmp_path).signing(), UNIT, TARGET)
    assert fresh.partition(".")[0] != link.partition(".")[0]
    for days, valid in ((399, True), (2, False)):
        age(tmp_path, days)
        accepted = ring(tmp_path).accepted()
        assert is_signed(accepted, UNIT, TARGET, link) == valid
        assert is_token(accepted, "acme", bearer) == valid
        assert is_signed(accepted, UNIT, TARGET, fresh)


def test_a_data_folder_from_before_keys_had_ids_keeps_working(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret").write_text("written by an earlier version\n")
    first = ring(tmp_path).first()
    assert first.secret == b"written by an earlier version"
    old_link = sign(first, UNIT, TARGET).partition(".")[2]
    ring(tmp_path).rotate()
    assert is_signed(ring(tmp_path).accepted(), UNIT, TARGET, old_link)
    assert not is_signed(ring(tmp_path).accepted(), UNIT, "https://evil.example/", old_link)


def test_a_running_worker_takes_a_rotation_up_and_looks_at_the_file_once_a_second(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    running = ring(tmp_path)
    first = running.signing()
    added = ring(tmp_path).rotate()
    clock[0] += 0.9
    assert running.signing() == first
    clock[0] += 0.2
    assert running.signing() == added
    assert [key.id for key in running.all()] == [first.id, added.id]


def test_a_running_worker_survives_a_broken_key_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    running = ring(tmp_path)
    first = running.signing()
    (tmp_path / "data" / "keys.json").write_text("[{")
    assert running.signing() == first
    with pytest.raises(Refused, match="can't be read"):
        ring(tmp_path).signing()


def test_the_visitors_key_stays_through_rotations(tmp_path):
    settings = Settings.from_env({"PIXELTALLY_DATA": str(tmp_path / "data")})
    before = settings.secret_key()
    settings.keys().rotate()
    settings.keys().rotate()
    assert settings.secret_key() == before
    assert Settings.from_env({"PIXELTALLY_SECRET": SECRETS}).secret_key() == b"0123456789abcdef"


def test_many_nodes_share_keys_by_the_environment(tmp_path):
    old, both = parse("old:0123456789abcdef"), parse(SECRETS)
    assert [(key.id, key.secret) for key in both] == [("old", b"0123456789abcdef"), ("new", b"fedcba9876543210")]
    link = sign(old[-1], UNIT, TARGET)
    assert link.startswith("old.")
    assert is_signed(both, UNIT, TARGET, link)
    assert sign(both[-1], UNIT, TARGET).startswith("new.")
    assert parse("Any: text, as before") == (key_of(b"Any: text, as before"),)
    assert parse("any text") == (key_of(b"any text"),)
    with pytest.raises(Refused, match="come from PIXELTALLY_SECRET"):
        Keys(both, tmp_path, 400).rotate()


def test_a_key_of_the_environment_ends_when_its_day_and_the_grace_are_over(tmp_path):
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 10 * 86_400))
    given = parse(SECRETS.replace(",", f":{day},"))
    assert [key.id for key in Keys(given, tmp_path, 20).accepted()] == ["old", "new"]
    assert [key.id for key in Keys(given, tmp_path, 5).accepted()] == ["new"]
    assert Keys(given, tmp_path, 5).first().id == "old"


@pytest.mark.parametrize(
    "text", ["a:short", f"{SECRETS},", "a:0123456789abcdef,a:0123456789abcdef", "a:0123456789abcdef:2020-01-01"]
)
def test_a_broken_list_is_refused_without_telling_it(text):
    with pytest.raises(Refused) as refusal:
        Settings.from_env({"PIXELTALLY_SECRET": text})
    assert str(refusal.value).startswith("PIXELTALLY_SECRET=… can't be used: ")
    assert "0123" not in str(refusal.value)


def test_a_token_is_good_for_its_advertiser_alone(tmp_path):
    key = ring(tmp_path).signing()
    good = token(key, "acme")
    assert is_token([key], "acme", good)
    forged = [
        "",
        "pt",
        good[:-1],
        f"{good}=",
        token(key, "acmf"),
        token(key_of(b"x"), "acme"),
        sign(key, "acme", ""),
        "é",
    ]
    assert not any(is_token([key], "acme", text) for text in forged)


def test_a_password_is_its_advertisers_alone_and_no_token(tmp_path):
    key = ring(tmp_path).signing()
    secrets = {password(key, "acme"), password(key, "acmf"), password(key_of(b"x"), "acme")}
    assert len(secrets) == 3
    assert password(key, "acme") in secrets
    assert not any(is_token([key], "acme", f"pt.{key.id}.{secret}") for secret in secrets)


def test_the_commands(tmp_path):
    environ = {"PIXELTALLY_DATA": str(tmp_path / "data"), "PIXELTALLY_SECRET": ""}

    def run(*arguments):
        return CliRunner().invoke(main, arguments, env=environ)

    assert run("key", "rotate").exit_code == 0
    states = [line.split()[3:] for line in run("key", "list").output.splitlines()[1:]]
    assert [state[0] for state in states] == ["accepted", "signs"]
    keys = ring(tmp_path)
    assert run("advertiser", "token", "acme").output.strip() == token(keys.signing(), "acme")
    assert run("advertiser", "token", "Acme Inc").exit_code == 2
    assert [row[0] for row in rows(keys)[1:]] == [key.id for key in keys.all()]
