"""Writes events to a topic at a steady rate, for ever: pictures of handwritten digits that the model was not trained on.

    python3 load.py --brokers localhost:9092 --topic events --rate 200 --brightness 1 heldout.bin

The pictures are those of config/digits: 64 bytes each, row by row. They come in a random order, each with an id of its own in the
header `id`. With less brightness they drift.
"""

import argparse
import itertools
import random
import signal
import struct
import sys
import time
import zlib

from confluent_kafka import Producer

SIDE = 8


def png(pixels):
    """A picture of eight-bit grey."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + pixels[at : at + SIDE] for at in range(0, len(pixels), SIDE))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pictures(path, brightness):
    with open(path, "rb") as file:
        pixels = bytes(round(pixel * brightness) for pixel in file.read())
    size = SIDE * SIDE
    if not pixels or len(pixels) % size:
        sys.exit(f"{path} does not hold pictures of {size} bytes each")
    return [png(pixels[at : at + size]) for at in range(0, len(pixels), size)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", default="localhost:9092")
    parser.add_argument("--topic", default="events")
    parser.add_argument("--rate", type=float, default=200, help="events a second")
    parser.add_argument("--brightness", type=float, default=1, help="from 0 to 1")
    parser.add_argument("--count", type=int, help="how many; without it there is no end")
    parser.add_argument("pictures")
    chosen = parser.parse_args()
    if not (chosen.rate > 0 and 0 <= chosen.brightness <= 1):
        parser.error("--rate is above 0, and --brightness from 0 to 1")
    return chosen


def main():
    chosen = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    all_pictures = pictures(chosen.pictures, chosen.brightness)
    failures = []

    def delivered(error, _message):
        if error is not None:
            failures.append(error)

    producer = Producer({"bootstrap.servers": chosen.brokers, "enable.idempotence": True, "linger.ms": 5})
    began = time.time()
    try:
        for number in itertools.count() if chosen.count is None else range(chosen.count):
            # Who is late hurries, but does not make up for more than a second.
            due = began + number / chosen.rate
            began += max(0.0, time.time() - due - 1)
            time.sleep(max(0.0, due - time.time()))
            name = f"{began:.0f}-{number}"
            while True:
                try:
                    producer.produce(chosen.topic, random.choice(all_pictures), key=f"camera-{number % 16}",
                                     headers={"id": f"load-{name}"}, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            if failures:
                sys.exit(f"an event could not be sent: {failures[0]}; check the brokers and the topic {chosen.topic}")
    except KeyboardInterrupt:
        pass
    left = producer.flush(10)
    if left or failures:
        sys.exit(f"{left + len(failures)} events could not be sent; check the brokers and the topic {chosen.topic}")


if __name__ == "__main__":
    main()
