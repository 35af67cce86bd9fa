"""A picture as a PNG file, by the standard library alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Channels -> the colour type of PNG: grey, RGB, RGBA.
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def png(height: int, width: int, channels: int, values: Sequence[int]) -> bytes:
    """Encode `values`, of shape (height, width, channels), each from 0 to 255.

    Raises:
        ValueError: there are more or fewer values, or one is out of range.
        KeyError: PNG does not support so many channels.
    """
    data = bytes(values)
    row = width * channels
    if len(data) != height * row:
        raise ValueError(f"{len(data)} values are no picture of {height} x {width} x {channels}")
    head = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    # Each row begins with the number of its filter: none.
    rows = b"".join(b"\0" + data[at : at + row] for at in range(0, len(data), row))
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def gradient(height: int, width: int, channels: int) -> list[int]:
    """Return values that differ from pixel to pixel and from channel to channel."""
    return [(row * 3 + column * 5 + channel * 40) % 256 for row in range(height) for column in range(width)
            for channel in range(channels)]  # fmt: skip


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
