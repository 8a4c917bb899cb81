"""Writes the held-out digits as a folder of pictures, a sub-folder for each digit, for `eddy profile`.

    python3 pictures.py FOLDER && eddy profile pipeline.toml --data FOLDER

Each of the 900 is written twice: a profile takes 1,000 rows at least. They are what the demo's camera photographs while it
hangs straight, so the profile is that of a healthy stream. Needs only Python itself.
"""

import struct
import sys
import zlib
from pathlib import Path

SIDE = 8


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + pixels[at : at + SIDE] for at in range(0, SIDE * SIDE, SIDE))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main() -> None:
    folder, here = Path(sys.argv[1]), Path(__file__).parent
    pixels, labels = (here / "heldout.bin").read_bytes(), (here / "heldout.labels").read_bytes()
    for number, label in enumerate(labels):
        of_class = folder / str(label)
        of_class.mkdir(parents=True, exist_ok=True)
        picture = png(pixels[number * SIDE * SIDE :][: SIDE * SIDE])
        for copy in "ab":
            (of_class / f"{number:03}{copy}.png").write_bytes(picture)


main()
