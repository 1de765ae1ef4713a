"""What processes of ours agree on."""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

_PR_SET_PDEATHSIG = 1

_PARENT = "PIXELTALLY_PARENT_PID"

#: glibc's names of how many heaps there are, and from which size on it asks for memory apart, and gives it back.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1


def environment_of_children() -> dict[str, str]:
    """The environment for processes that are to die with this one, even if it is gone before they can ask for it."""
    return {**os.environ, _PARENT: str(os.getpid())}


def die_with_parent() -> None:
    """Have this process killed when its parent dies, however that dies; on Linux also what it becomes by exec."""
    parent = int(os.environ.get(_PARENT) or os.getppid())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def share_heap(kept_bytes: int = 0) -> None:
    """Have all threads share a heap (of glibc): each of several would keep the most that it ever held.

    Blocks of up to `kept_bytes` are kept where they are freed; 0: as glibc does by itself.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 1)
        if kept_bytes:
            mallopt(_MMAP_THRESHOLD, kept_bytes)
            mallopt(_TRIM_THRESHOLD, 2 * kept_bytes)


def say_ready() -> None:
    """Tell the supervisor, where there is one that asks, that this tier works."""
    _notify("READY=1")


def say_refused(sentence: str) -> None:
    """Tell the supervisor, where there is one that asks, that this tier can't be started, and why."""
    _notify(f"EXIT_STATUS=2\nSTATUS={' '.join(sentence.splitlines())}")


def _notify(notice: str) -> None:
    """Send a notice of systemd's sd_notify protocol; nobody waits for it to be read."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):  # how a variable spells the zero byte of a socket that is no file
        address = "\0" + address[1:]
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
            messenger.setblocking(False)
            messenger.sendto(notice.encode(), address)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
