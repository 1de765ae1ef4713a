"""Definitions of tables outlive a disk that becomes full while one is written.

The embedded engine then puts an empty or a torn file in the place of the old one, says that all is well, and can't be
opened again. So each definition is kept by a second name (a hard link needs no room) before anything is defined anew.
"""

from pathlib import Path

_KEPT = "definitions"


def keep(path: Path) -> None:
    """Keep the definitions in the data directory `path` as they are. Raises OSError."""
    kept = path / _KEPT
    current = {each.relative_to(path): each for each in _files(path)}
    for old in kept.rglob("*.sql"):
        if old.relative_to(kept) not in current:
            old.unlink()
    for name, file in current.items():
        copy = kept / name
        if not _is_whole(file) or (copy.exists() and copy.samefile(file)):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        beside = copy.with_suffix(".next")
        beside.unlink(missing_ok=True)
        beside.hardlink_to(file)
        beside.replace(copy)


def are_whole(path: Path) -> bool:
    """Whether all definitions can be read, and all changes of rows that are to be made."""
    return all(map(_is_whole, [*_files(path), *_changes(path)]))


def mend(path: Path) -> list[str]:
    """Put the kept ones in the place of those that can't be read, before the engine is opened; their names.

    What can't be read and was not kept is new, and goes: who wrote it was told that it is not defined. Raises OSError.
    """
    broken = [file for file in [*_files(path), *_changes(path)] if not _is_whole(file)]
    for file in broken:
        copy = path / _KEPT / file.relative_to(path)
        if copy.exists():
            copy.replace(file)
        else:
            file.unlink()
    return [file.name for file in broken]


def _files(path: Path) -> list[Path]:
    return [*path.glob("metadata/*.sql"), *path.glob("store/*/*/*.sql")]


def _changes(path: Path) -> list[Path]:
    return [*path.glob("store/*/*/mutation_*.txt")]


def _is_whole(file: Path) -> bool:
    return file.read_bytes().endswith(b"\n")
