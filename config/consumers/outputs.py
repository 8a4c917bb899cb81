"""Reading Eddy's output topics: what the programs in this folder share.

A topic is read from outside of any consumer group, from a moment on to its end. Nothing is committed, so that a program can
be run again and finds the same.
"""

import argparse
import contextlib
import datetime
import json
import re
import sys
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, TopicPartition

# The format of Eddy's headers and predictions that these programs read (header `eddy.format`).
FORMAT = "1"
# Longest silence of the brokers. They answer within milliseconds, and an outage is told by an error.
PATIENCE_SECONDS = 60


class Record(NamedTuple):
    value: bytes | None
    headers: dict[str, str]
    topic: str
    # Of two records the one with the greater rank is the later one, in whatever order their partitions arrive: timestamp,
    # partition, offset. `eddy samples` ranks like this, too.
    rank: tuple[int, int, int]

    @property
    def place(self):
        return f"{self.topic}/{self.rank[1]}/{self.rank[2]}"


@contextlib.contextmanager
def telling(what):
    """Ends the program with a sentence where something that others wrote or run is not as it should be."""
    try:
        yield
    except KafkaException as error:
        raise SystemExit(f"{what}: {error.args[0].str()}") from None
    except KeyError as error:
        raise SystemExit(f"{what}: there is no {error}") from None
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise SystemExit(f"{what}: {error}") from None


def arguments(about, topic):
    """The words on the command line that all programs here take."""
    words = argparse.ArgumentParser(description=about)
    words.add_argument("--bootstrap", default="localhost:9092", help="brokers, as host:port,… (default: %(default)s)")
    words.add_argument("--topic", default=topic, help="the topic to read (default: %(default)s)")
    words.add_argument("--events", default="events", help="events topics of your pipeline, separated by commas; what came in \
        on another one is another pipeline's and left out (default: %(default)s)")
    words.add_argument("--since", default="7d", help="how far back, by the records' timestamps: 7d, 12h, 30m, or `all` \
        (default: %(default)s)")
    words.add_argument("--group", default="eddy-consumers", help="a consumer group that you may read; nothing is committed \
        to it (default: %(default)s)")
    words.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="a property of the Kafka client, \
        such as security.protocol=SASL_SSL; may be given again")
    return words


def moment(since):
    """What `--since` stands for: milliseconds since 1970, or nothing for all there is."""
    if since == "all":
        return None
    span = re.fullmatch(r"(\d{1,6})([dhm])", since)
    if not span:
        raise SystemExit(f"--since {since}: write a number and d, h or m, such as 7d, or `all`")
    unit = {"d": "days", "h": "hours", "m": "minutes"}[span[2]]
    begin = datetime.datetime.now(datetime.UTC).timestamp() - datetime.timedelta(**{unit: int(span[1])}).total_seconds()
    return max(0, int(begin * 1000))


def client(args):
    properties = {
        # Required by the client, and of no effect: partitions are assigned by hand, and nothing is committed.
        "group.id": args.group,
        "bootstrap.servers": args.bootstrap,
        "enable.auto.commit": False,
        # Where what was to be read first has just been deleted.
        "auto.offset.reset": "earliest",
        # Exactly once holds for readers that leave out what was rolled back. This is librdkafka's default; Java clients
        # have to ask for it.
        "isolation.level": "read_committed",
        # Tells when a partition's end is reached.
        "enable.partition.eof": True,
    }
    for pair in args.config:
        key, given, value = pair.partition("=")
        if not given or key in properties:
            raise SystemExit(f"--config {pair}: write KEY=VALUE, with a key that these programs leave to you; "
                             "--bootstrap and --group have words of their own")
        properties[key] = value
    with telling("the Kafka client cannot be made; check --config"):
        return Consumer(properties)


def records(args, topic=None):
    """Every record of a topic since `--since`. Reads to the end of each partition and no further, so it ends."""
    topic, since, consumer = topic or args.topic, moment(args.since), client(args)
    try:
        with telling(f"{topic} cannot be read; check --topic, --bootstrap and --config"):
            assign(consumer, topic, since)
        yield from assigned(consumer, topic, since or 0)
    finally:
        consumer.close()


def assign(consumer, topic, since):
    metadata = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic]
    if metadata.error:
        raise KafkaException(metadata.error)
    partitions = [TopicPartition(topic, number, OFFSET_BEGINNING if since is None else since) for number in metadata.partitions]
    if since is not None:
        # Of a partition without such a record this is its end.
        partitions = consumer.offsets_for_times(partitions, timeout=PATIENCE_SECONDS)
    for partition in partitions:
        if partition.error:
            raise KafkaException(partition.error)
    consumer.assign(partitions)


def assigned(consumer, topic, since):
    unread = {partition.partition for partition in consumer.assignment()}
    while unread:
        record = consumer.poll(PATIENCE_SECONDS)
        if record is None:
            raise SystemExit(f"the brokers have said nothing for {PATIENCE_SECONDS} s; is {topic} available?")
        if record.error():
            if record.error().code() != KafkaError._PARTITION_EOF:
                raise SystemExit(f"{topic} cannot be read: {record.error().str()}")
            unread.discard(record.partition())
        # What came in after the end was reached is left to the next run.
        elif record.partition() in unread:
            kind, time = record.timestamp()
            # Timestamps need not be in order: behind the first record of the span there may be older ones. One without a
            # timestamp is of every span.
            if kind == TIMESTAMP_NOT_AVAILABLE or time >= since:
                yield Record(record.value(), texts(record.headers()), topic, (time, record.partition(), record.offset()))


def unframed(value):
    """The document of a prediction: with `[predictions] format = "json_schema"` a zero and four bytes of a number precede it."""
    return value[5:] if value[:1] == b"\0" else value


def texts(headers):
    """Headers as text by name; of several with one name the last. An event's own may hold any bytes."""
    return {name: value.decode("utf-8", "replace") for name, value in headers or [] if value is not None}


class Account:
    """Which records count, and how many do not, by why."""

    def __init__(self, args):
        self.events = args.events.split(",")
        self.ranks = {}
        self.counts = {"records": 0, "foreign": 0, "of_other_pipelines": 0, "duplicates": 0}

    def is_ours(self, record):
        """Whether a record is an output of our pipeline. One that a newer Eddy wrote ends the program: to leave it out would
        bias every number, and to guess what it says would be worse."""
        self.counts["records"] += 1
        headers = record.headers
        source = headers.get("eddy.source", "").rsplit("/", 2)
        if "eddy.format" not in headers or "eddy.id" not in headers or len(source) != 3:
            self.counts["foreign"] += 1
            return False
        # Several pipelines may share an output topic.
        if source[0] not in self.events:
            self.counts["of_other_pipelines"] += 1
            return False
        if headers["eddy.format"] != FORMAT:
            raise SystemExit(f"{record.place} is of format {headers['eddy.format']}, and this program reads format {FORMAT}; "
                             "take the one that came with the Eddy that wrote it")
        return True

    def latest(self, found, key, record, item):
        """Keeps one of those with the same key, the latest. With `guarantee = "at-least-once"` a crash repeats outputs, and
        producers may send an event twice."""
        known = self.ranks.get(key)
        self.counts["duplicates"] += known is not None
        if known is None or record.rank > known:
            found[key], self.ranks[key] = item, record.rank


def report(document):
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    print()
