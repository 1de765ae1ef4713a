"""Readiness: who is asked, and who says so."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.readiness import Notices, answers, has_metadata
from pixeltally.process import say_ready, say_refused


@pytest.fixture
def notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notices]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notices = Notices(tmp_path / "notify")
    yield notices
    notices.close()


def test_a_broker_is_ready_when_it_answers(broker: str) -> None:
    assert has_metadata(broker)()


def test_where_nothing_listens_nothing_is_ready() -> None:
    assert not has_metadata("127.0.0.1:1")()
    assert not answers("http://127.0.0.1:1/")()


def test_who_has_no_port_says_so(notices: Notices) -> None:
    assert not notices.ready()
    say_ready()
    assert notices.ready()
    assert notices.refusal() is None


def test_who_refuses_says_why(notices: Notices) -> None:
    say_refused("the moon is full:\nwait a week.")
    assert notices.refusal() == "the moon is full: wait a week."
    assert not notices.ready()


def test_a_supervisor_may_listen_where_no_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"pixeltally-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        say_ready()
        assert listener.recv(100) == b"READY=1"


def test_nobody_waits_for_a_notice_to_be_read(notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(1000):
        say_ready()
    notices.close()
    say_ready()
    monkeypatch.delenv("NOTIFY_SOCKET")
    say_ready()
