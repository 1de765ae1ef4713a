"""How Kafka's jars and Java are found."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from local import kafka


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kafka, "_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_a_class_path_is_reused_while_all_its_jars_are_there(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars = [tmp_path / "a.jar", tmp_path / "b.jar"]
    for jar in jars:
        jar.touch()
    resolved = os.pathsep.join(map(str, jars))
    answers = [resolved, "again"]
    monkeypatch.setattr(kafka, "_run_maven", lambda maven: answers.pop(0))
    monkeypatch.setattr(kafka.shutil, "which", lambda name: name)
    assert [kafka.resolve(), kafka.resolve()] == [resolved, resolved]
    jars[1].unlink()
    assert kafka.resolve() == "again"


def test_without_maven_there_is_a_reason(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(kafka.Unavailable, match="there is no mvn on PATH"):
        kafka.resolve()


def test_the_reason_that_maven_gives_is_passed_on(tmp_path: Path) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] Unknown host central'\nexit 1\n")
    maven.chmod(0o755)
    with pytest.raises(kafka.Unavailable, match="Maven can't get Kafka's jars: Unknown host central"):
        kafka._run_maven(str(maven))


@pytest.mark.skipif(not shutil.which("mvn"), reason="needs Maven")
def test_a_repository_out_of_reach_is_said_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        (tmp_path / ".m2").mkdir()
        mirror = f"<mirror><id>none</id><mirrorOf>*</mirrorOf><url>{url}</url></mirror>"
        (tmp_path / ".m2" / "settings.xml").write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
        monkeypatch.setenv("MAVEN_OPTS", f"-Duser.home={tmp_path}")
        monkeypatch.setattr(kafka, "MAVEN_SILENT_MS", 500)
        monkeypatch.setattr(kafka, "RESOLVE_TIMEOUT_S", 60)
        with pytest.raises(kafka.Unavailable, match=f"Maven can't get Kafka's jars: .*{url}"):
            kafka._run_maven("mvn")


def test_the_java_of_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert kafka.find_java() == str(java)


def test_a_wildcard_is_not_advertised(tmp_path: Path) -> None:
    kafka._write_config(tmp_path, "log", "0.0.0.0", 9092)
    text = (tmp_path / kafka.CONFIG).read_text()
    assert "listeners=BROKER://0.0.0.0:9092,CONTROLLER://127.0.0.1:" in text
    assert "advertised.listeners=BROKER://127.0.0.1:9092\n" in text
