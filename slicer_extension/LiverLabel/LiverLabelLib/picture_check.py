"""Whether a PNG or JPEG file is whole: VTK's reader of PNG ends the whole program on one that is cut short.

Source: PNG (ISO/IEC 15948) 5.3 chunks, 11.2.2 IHDR, 8.2 interlacing; JPEG (ITU-T T.81) B.1.1.3 markers.
"""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""PNG's colour type -> samples of a pixel."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column, first row, step of columns, step of rows."""
MAX_PIXELS = 1 << 26
"""More is no picture of a scanner."""


def is_whole_png(content: bytes) -> bool:
    """Every chunk has its checksum, and the pixels unpack to exactly the size that the header states."""
    if not content.startswith(_SIGNATURE):
        return False
    place, header, packed = len(_SIGNATURE), b"", []
    while place + 12 <= len(content):
        n_bytes, kind = struct.unpack_from(">I4s", content, place)
        data = content[place + 8 : place + 8 + n_bytes]
        end = place + 8 + n_bytes
        if content[end : end + 4] != struct.pack(">I", zlib.crc32(kind + data)):
            return False
        if kind == b"IHDR":
            header = data
        elif kind == b"IDAT":
            packed.append(data)
        elif kind == b"IEND":
            return len(header) == 13 and _is_filled(header, b"".join(packed))
        place = end + 4
    return False


def _is_filled(header: bytes, packed: bytes) -> bool:
    columns, rows, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if colour not in _CHANNELS or not 0 < columns * rows <= MAX_PIXELS:
        return False
    n_bits = depth * _CHANNELS[colour]
    needed = 0
    for left, top, across, down in _PASSES if interlace else ((0, 0, 1, 1),):
        width, height = -(-(columns - left) // across), -(-(rows - top) // down)
        if width > 0 and height > 0:
            needed += height * (1 + (width * n_bits + 7) // 8)
    unpacking = zlib.decompressobj()
    try:
        return len(unpacking.decompress(packed, needed + 1)) == needed
    except zlib.error:
        return False


def is_whole_jpeg(content: bytes) -> bool:
    """It begins and ends as JPEG does; what is inside the reader bears."""
    return content.startswith(b"\xff\xd8\xff") and b"\xff\xd9" in content[-1024:]
