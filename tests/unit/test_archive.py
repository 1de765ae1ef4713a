"""A log of the archive holds each block once, in order, whatever broke off while it was written."""

from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltally import archive
from pixeltally.archive_log import Log, Taken, expire

LINES = st.lists(st.binary(min_size=1, max_size=60).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=5)
NOON = 1_577_880_000_000  # of 1 January 2020
BREAK = st.sampled_from(["", "reopen", "before the entry", "in the entry"])


@given(st.lists(st.tuples(LINES, BREAK), min_size=1, max_size=12))
def test_what_was_entered_is_there_for_ever_and_once(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("archive")
    log = Log(root, "requests/node")
    for number, (pieces, broken) in enumerate(steps, 1):
        if broken:
            if broken == "before the entry":
                log.add([b"never entered\n"])
            if broken == "in the entry" and (chain := archive.chains(root / "requests/node")):
                with chain[-1].open("ab") as file:
                    file.write(b'{"log":"requests/node","num')
            log.close()
            log = Log(root, "requests/node")
        assert log.enter(number, log.add(pieces), first=number, last=number).number == number
    log.close()
    found = [*archive.entries(root, "requests/node")]
    assert [entry.number for entry, _ in found] == [*range(1, len(steps) + 1)]
    before = archive.NONE
    for (entry, hash), (pieces, _) in zip(found, steps, strict=True):
        assert entry.before == before
        data = b"".join(archive.pieces(root, entry))
        assert data == b"".join(pieces)
        assert (entry.sha256, entry.bytes, entry.lines) == (sha256(data).hexdigest(), len(data), len(pieces))
        before = hash


def test_one_writer_at_a_time(tmp_path):
    log = Log(tmp_path, "requests/node")
    with pytest.raises(Taken):
        Log(tmp_path, "requests/node")
    log.close()
    Log(tmp_path, "requests/node").close()


def test_what_expires_leaves_its_entry(tmp_path):
    log = Log(tmp_path, "requests/node")
    log.enter(1, log.add([b"old\n"]), first=1, last=NOON)
    [chain] = archive.chains(tmp_path / "requests/node")
    for path in (chain, chain.with_name(chain.name.replace(archive.CHAIN, archive.BLOCKS))):
        path.rename(path.with_name("2020-01-01" + path.name[10:]))
    expire(tmp_path, NOON)
    [(entry, _)] = archive.entries(tmp_path, "requests/node")
    renamed = msgspec.structs.replace(entry, file="2020-01-01" + entry.file[10:])
    assert b"".join(archive.pieces(tmp_path, renamed)) == b"old\n"
    expire(tmp_path, NOON + 1)
    with pytest.raises(FileNotFoundError):
        [*archive.pieces(tmp_path, renamed)]
    assert [number for number, _ in archive.entries(tmp_path, "requests/node")] == [entry]
