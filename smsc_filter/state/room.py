"""Room left on the disk of ``data_dir``: without it no decision can be made durable.

Where less is left than there should be nobody new is let in. The last half of that is not spent on new messages: the
store and the records need it to bring to an end what was answered.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

MOST_SHARE: Final = 0.05
"""Of a small disk no more than this is kept free, whatever ``state.min_free_mb`` says."""


class Room(NamedTuple):
    """What is left, and what there has to be."""

    free_mb: float
    least_mb: float
    trouble: str
    """What is wrong, for people; "" where there is room enough."""

    @property
    def last(self) -> bool:
        """Whether what is left is for the records of messages that were taken already, and no more are to be."""
        return bool(self.trouble) and self.free_mb < self.least_mb / 2


def room_in(folder: Path, least_mb: float) -> Room:
    """Look how much room there is in ``folder``; ``least_mb`` in MiB are to be left.

    Raises:
        OSError: the folder is gone, or its disk does not answer.
    """
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize / (1 << 20)
    least = min(least_mb, MOST_SHARE * disk.f_blocks * disk.f_frsize / (1 << 20)) if least_mb else 0.0
    if disk.f_flag & os.ST_RDONLY:
        return Room(free, least, "the disk of data_dir is mounted read-only")
    if free < least:
        return Room(free, least, f"{free:.1f} MiB are free on the disk of data_dir, {least:.1f} MiB are needed")
    if disk.f_files and not disk.f_favail:
        return Room(free, least, "no inode is free on the disk of data_dir")
    return Room(free, least, "")
