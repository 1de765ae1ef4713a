"""60,000 real ad impressions and their 287 clicks: the Open Bandit Dataset (see impressions.txt).

`python -m local.impressions obp-0.5.7.tar.gz` makes the committed file again from the archive it comes from.
"""

import csv
import gzip
import io
import sys
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

FILE = Path(__file__).with_name("impressions.csv.gz")

#: The dataset's campaigns: who chose the items (Bernoulli Thompson sampling or chance), for whose clothes.
CAMPAIGNS = tuple(f"{policy}-{clothes}" for policy in ("bts", "random") for clothes in ("all", "men", "women"))

_COLUMNS = ("timestamp_ms", "campaign", "item", "position", "click")


class Impression(NamedTuple):
    """One row: an item shown on one of three positions (1 left, 2 centre, 3 right), clicked or not."""

    timestamp_ms: int
    campaign: str
    item: int
    position: int
    click: bool


def read(path: Path = FILE) -> list[Impression]:
    """All impressions, ordered by time."""
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [
            Impression(int(at), campaign, int(item), int(position), click == "1")
            for at, campaign, item, position, click in rows
        ]


def extract(archive: Path, target: Path = FILE) -> None:
    """Write the columns that the demo needs from `obp`'s source archive; the same bytes every time."""
    with tarfile.open(archive) as files:
        found = [row for campaign in CAMPAIGNS for row in _campaign(campaign, _member(files, campaign.split("-")))]
    with open(target, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as zipped:
        text = io.TextIOWrapper(zipped, newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_COLUMNS)
        rows.writerows((*row[:-1], int(row.click)) for row in sorted(found))
        text.flush()


def _member(files: tarfile.TarFile, folders: list[str]) -> IO[bytes]:
    ending = f"/obp/dataset/obd/{folders[0]}/{folders[1]}/{folders[1]}.csv"
    name = next(name for name in files.getnames() if name.endswith(ending))
    member = files.extractfile(name)
    assert member is not None, f"{name} is no file"
    return member


def _campaign(name: str, file: IO[bytes]) -> Iterator[Impression]:
    for row in csv.DictReader(io.TextIOWrapper(file)):
        at_ms = round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000)
        yield Impression(at_ms, name, int(row["item_id"]), int(row["position"]), row["click"] == "1")


if __name__ == "__main__":
    extract(Path(sys.argv[1]))
