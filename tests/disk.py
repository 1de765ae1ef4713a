"""A disk that can be full, for tests."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest


def require_mount() -> None:
    """Skip the test where no disk can be mounted."""
    if not shutil.which("mount") or os.geteuid():
        pytest.skip("needs the right to mount a disk")


class Disk:
    """A tmpfs that can be full: it is made as small as what it holds, and as large as it was again."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder, self._megabytes = folder, megabytes
        folder.mkdir(parents=True)

    def __enter__(self) -> "Disk":
        self._mount(f"size={self._megabytes}m", "tmpfs")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    def fill(self) -> None:
        """Leave no byte free."""
        while True:
            with suppress(subprocess.CalledProcessError):  # it has grown meanwhile
                return self._mount(f"remount,size={shutil.disk_usage(self._folder).used}")

    def free(self) -> None:
        """Give it its room back."""
        self._mount(f"remount,size={self._megabytes}m")

    def _mount(self, options: str, *what: str) -> None:
        kind = ["-t", "tmpfs", *what] if what else []
        subprocess.run(["mount", *kind, "-o", options, str(self._folder)], check=True, capture_output=True)
