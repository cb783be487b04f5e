"""Whether an image file is whole, by its first and last bytes; decoded only where these are odd.

The decoders that train with most (OpenCV's, and Pillow's where it is told to) make of half a JPEG a
picture that is half gray. Our design.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image

# Bytes at the end of a file among which its end marker is looked for first.
_TAIL = 64
# Zeros at the end of a file that no writer pads it with: a download that broke off.
_PADDING = 512
# Pixels that a byte can stand for at most: deflate packs a run of 1032 bytes into one, at up to 8
# pixels a byte. A header that promises more was made to exhaust the memory.
_MOST_PIXELS = 8 * 1032
# Smaller images do not exhaust it, whatever they are made of.
_SMALL = 2**24
_JPEG_END, _JPEG_SCAN = b'\xff\xd9', b'\xff\xda'
# Segments that begin an image: of all ways to code one, without tables that stand between them.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_END = b'IEND\xaeB`\x82'


@dataclass(frozen=True)
class Fault:
    """What is wrong with a sample or an annotation.

    Args:
        kind: In a few words, to count by.
        text: In full, as the end of a sentence that begins with the path.
    """

    kind: str
    text: str


def fault_of_file(path: str) -> Fault | None:
    """What is wrong with an image file of this machine.

    Args:
        path: The file. One that is not there is left to what opens it. Of what is no PNG, JPEG or
            WebP only the size is looked at: its readers refuse half of an image by themselves.

    Returns:
        The fault; None where none is seen.
    """
    try:
        with open(path, 'rb') as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                return Fault('empty', 'is empty')
            head = file.read(24)
            for magic, fault in _FORMATS.items():
                if head.startswith(magic):
                    return fault(file, head, size)
    except OSError:
        pass
    return None


def _truncated(text: str) -> Fault:
    return Fault('truncated', f'is truncated: {text}')


def _of_jpeg(file: BinaryIO, head: bytes, size: int) -> Fault | None:
    if _JPEG_END not in _read(file, max(0, size - _TAIL)):
        content = _read(file, 0)
        zeros = size - len(content.rstrip(b'\0'))
        # A preview inside the file has an end marker, too, and a scan of the image behind it.
        end = content.rfind(_JPEG_END)
        if end < 0 or _JPEG_SCAN in content[end:]:
            if zeros > _PADDING:
                return _truncated(f'its last {zeros} bytes are zeros')
            if not _decodes(content):
                return _truncated('the JPEG has no end')
    return _of_pixels(_jpeg_pixels(file), size)


def _jpeg_pixels(file: BinaryIO) -> int:
    """Width times height as the header of a JPEG promises them; 0 where it has none.

    Pillow would say it, too, in half the time that it takes to decode a small image.
    """
    file.seek(2)
    while len(segment := file.read(4)) == 4 and segment[0] == 0xFF:
        if segment[1] in _FRAMES:
            # Precision, height, width.
            frame = file.read(5)
            return int.from_bytes(frame[1:3], 'big') * int.from_bytes(frame[3:5], 'big')
        file.seek(int.from_bytes(segment[2:], 'big') - 2, os.SEEK_CUR)
    return 0


def _of_png(file: BinaryIO, head: bytes, size: int) -> Fault | None:
    if _PNG_END not in _read(file, max(0, size - _TAIL)) and _PNG_END not in _read(file, 0):
        return _truncated('the PNG has no end')
    width, height = (int.from_bytes(head[at : at + 4], 'big') for at in (16, 20))
    return _of_pixels(width * height, size)


def _of_webp(file: BinaryIO, head: bytes, size: int) -> Fault | None:
    promised = int.from_bytes(head[4:8], 'little') + 8
    if head[8:12] == b'WEBP' and promised > size:
        return _truncated(f'{size} of {promised} bytes')
    return None


def _of_pixels(pixels: int, size: int) -> Fault | None:
    if pixels > _SMALL and pixels > size * _MOST_PIXELS:
        return Fault('impossible size', f'promises {pixels} pixels in {size} bytes')
    return None


def _read(file: BinaryIO, start: int) -> bytes:
    """The bytes from a place to the end."""
    file.seek(start)
    return file.read()


def _decodes(content: bytes) -> bool:
    """Whether Pillow, which is strict, can decode the whole image."""
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
    except Exception:  # Pillow answers what is odd with whatever breaks first.
        return False
    return True


_FORMATS: dict[bytes, Callable[[BinaryIO, bytes, int], Fault | None]] = {
    b'\xff\xd8\xff': _of_jpeg,
    b'\x89PNG\r\n\x1a\n': _of_png,
    b'RIFF': _of_webp,
}
