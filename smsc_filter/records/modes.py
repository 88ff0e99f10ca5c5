"""Keeps what is about people from other users of the machine: modes of files and folders."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

PRIVATE_UMASK: Final = 0o077
"""Of every process: what it makes is its own user's alone."""


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner opens, and close one that is there to others.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    close_to_others(path, 0o700)


def close_to_others(path: Path, mode: int) -> bool:
    """Give a file or folder that group or others may open ``mode``; whether it is closed to them now.

    A folder of everybody's, such as /tmp, and what belongs to another user stay as they are.
    """
    try:
        found = path.stat()
    except OSError:
        return True
    if not found.st_mode & 0o077:
        return True
    if found.st_mode & stat.S_ISVTX or found.st_uid != os.geteuid():
        return False
    try:
        path.chmod(mode)
    except OSError:
        return False
    return True
