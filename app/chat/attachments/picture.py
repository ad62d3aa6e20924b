"""A program of its own: reads an image from standard input, writes a small one.

Decoding what a stranger made is where image libraries break. So it is done in a process that
has no secrets, little memory, little time, and may write no file; nothing of ours is imported.

Output: a line of JSON with width and height of the image, upright, then a WebP without any
of the original's metadata. Anything else, and an exit other than 0, means: no preview.
"""

import io
import json
import resource
import sys

LONGEST_SIDE = 960
MAX_PIXELS = 50_000_000
MEMORY = 1024 * 1024 * 1024
SECONDS = 10
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_ORIENTATION = 0x0112  # the EXIF tag


def main() -> int:
    limit()
    from PIL import Image, ImageOps  # noqa: PLC0415 - after the limits are in place

    image: Image.Image = Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        return 3  # before anything is decoded: a bomb is small until then
    turned = image.getexif().get(_ORIENTATION, 1) in {5, 6, 7, 8}
    width, height = image.size[::-1] if turned else image.size
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    image = ImageOps.exif_transpose(image)
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small = io.BytesIO()
    image.save(small, "WEBP", quality=80, method=4, exif=b"", icc_profile=b"", xmp=b"")
    sys.stdout.buffer.write(json.dumps({"width": width, "height": height}).encode() + b"\n")
    sys.stdout.buffer.write(small.getvalue())
    return 0


def limit() -> None:
    """Of this process, for good: memory, seconds of CPU, and not one byte into any file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
