"""Image files that are broken, and odd ones that are not, made from one small picture."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIZE = (48, 40)


def picture(size: tuple[int, int] = SIZE, mode: str = 'RGB') -> Image.Image:
    """A picture of soft colors with some noise, so that half of it is seen to be missing."""
    width, height = size
    generator = np.random.default_rng(0)
    ramp = np.linspace(40, 200, width)[None, :, None] * np.array([1.0, 0.7, 0.4])
    pixels = ramp + generator.integers(0, 40, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file of a picture."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack('>I', zlib.crc32(kind + content))
    return struct.pack('>I', len(content)) + kind + content + checksum


def png_bomb(width: int, height: int) -> bytes:
    """A small PNG whose header promises a huge image."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    chunks = [_chunk(b'IHDR', header), _chunk(b'IDAT', data), _chunk(b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)


def jpeg_bomb(width: int, height: int) -> bytes:
    """A small JPEG whose header promises a huge image."""
    content = encoded(picture(), 'JPEG')
    at = content.index(b'\xff\xc0') + 5
    return content[:at] + struct.pack('>HH', height, width) + content[at + 4 :]


def _with_preview() -> bytes:
    """A JPEG with another one inside, as cameras write them."""
    preview = encoded(picture((16, 16)), 'JPEG')
    comment = b'\xff\xfe' + struct.pack('>H', len(preview) + 2) + preview
    content = encoded(picture(), 'JPEG')
    return content[:2] + comment + content[2:]


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(), 'JPEG', exif=exif)


def broken_files() -> dict[str, bytes]:
    """Files that are not whole images, by their names."""
    png, jpeg = encoded(picture(), 'PNG'), encoded(picture(), 'JPEG', quality=95)
    progressive = encoded(picture(), 'JPEG', quality=95, progressive=True)
    large = encoded(picture((160, 160)), 'JPEG', quality=95)
    preview = _with_preview()
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    files = {
        'empty.png': b'',
        'empty.jpg': b'',
        'byte.jpg': b'\xff',
        'text.jpg': b'This is no image.\n' * 20,
        'page.jpg': b'<!DOCTYPE html><html><body>404 Not Found</body></html>',
        'words.png': b'{"error": "quota exceeded"}',
        'zeros.jpg': bytes(2000),
        'magic.jpg': b'\0\0\0' + jpeg[3:],
        'magic.png': b'\x89PNX' + png[4:],
        'noise.png': np.random.default_rng(0).bytes(3000),
        'flipped.png': bytes(flipped),
        'preview.jpg': preview[:-100],
        'preview_only.jpg': preview[: preview.index(b'\xff\xd9') + 30],
        'zero_filled.jpg': large[: len(large) // 2] + bytes(len(large) // 2),
        'half.webp': encoded(picture(), 'WEBP')[:-100],
        'half.bmp': encoded(picture(), 'BMP')[:2000],
        'half.tif': encoded(picture(), 'TIFF')[:3000],
        'half.gif': encoded(picture(), 'GIF')[:600],
        'bomb.png': png_bomb(60000, 60000),
        'bomb_of_one_row.png': png_bomb(100_000_000, 1),
        'bomb_below_limits.png': png_bomb(20000, 20000),
        'bomb.jpg': jpeg_bomb(65500, 65500),
    }
    for at in (8, 20, 40, len(png) // 4, len(png) // 2, len(png) - 40, len(png) - 12, len(png) - 1):
        files[f'cut_at_{at}.png'] = png[:at]
    for at in (2, 20, 200, len(jpeg) // 2, len(jpeg) * 3 // 4, len(jpeg) - 60):
        files[f'cut_at_{at}.jpg'] = jpeg[:at]
    for at in (len(progressive) // 2, len(progressive) - 60):
        files[f'progressive_cut_at_{at}.jpg'] = progressive[:at]
    return files


def odd_files() -> dict[str, bytes]:
    """Files that are whole, if not what one expects, by their names."""
    jpeg, png = encoded(picture(), 'JPEG'), encoded(picture(), 'PNG')
    deep = Image.fromarray(np.arange(48 * 40, dtype=np.uint16).reshape(40, 48) * 30)
    frames = dict(save_all=True, append_images=[picture().rotate(90)])
    return {
        'plain.jpg': jpeg,
        'plain.png': png,
        'cmyk.jpg': encoded(picture(mode='CMYK'), 'JPEG'),
        'gray.jpg': encoded(picture(mode='L'), 'JPEG'),
        'progressive.jpg': encoded(picture(), 'JPEG', progressive=True),
        'turned.jpg': _turned(),
        'padded.jpg': jpeg + bytes(4096),
        'trailing.jpg': jpeg + b'camera notes ' * 100,
        'preview.jpg': _with_preview(),
        'dot.jpg': encoded(picture((1, 1)), 'JPEG'),
        'dot.png': encoded(picture((1, 1)), 'PNG'),
        'row.png': encoded(picture((4000, 1)), 'PNG'),
        'deep.png': encoded(deep, 'PNG'),
        'bits.png': encoded(picture(mode='1'), 'PNG'),
        'palette.png': encoded(picture(mode='P'), 'PNG'),
        'alpha.png': encoded(picture(mode='RGBA'), 'PNG'),
        'gray_alpha.png': encoded(picture(mode='LA'), 'PNG'),
        'trailing.png': png + b'notes' * 100,
        'flat.png': encoded(Image.new('1', (4200, 4200)), 'PNG'),
        'moving.png': encoded(picture(), 'PNG', **frames),
        'plain.webp': encoded(picture(), 'WEBP'),
        'plain.bmp': encoded(picture(), 'BMP'),
        'plain.tif': encoded(picture(), 'TIFF'),
    }


def odd_files_that_readers_may_refuse() -> dict[str, bytes]:
    """Files that one version of a reader takes and another one refuses."""
    frames = dict(save_all=True, append_images=[picture().rotate(90)])
    return {
        'plain.gif': encoded(picture(), 'GIF'),
        'moving.gif': encoded(picture(), 'GIF', **frames),
        'without_end.jpg': encoded(picture(), 'JPEG')[:-2],
    }
