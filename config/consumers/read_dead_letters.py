"""Reads a dead-letter topic to its end and says why events could not be scored, most frequent reason first.

    python read_dead_letters.py --bootstrap localhost:9092 --topic dead-letters --since 1d

The reasons are a closed set: `eddy schema --topic dead_letters`. `eddy redrive` sends letters back once the cause is mended.
"""

from outputs import Account, arguments, records, report, telling


def main():
    args = arguments(__doc__.splitlines()[0], "dead-letters").parse_args()
    account, found = Account(args), {}
    for record in records(args):
        if account.is_ours(record):
            account.latest(found, record.headers["eddy.source"], record, record)

    reasons = {}
    for record in found.values():
        value, headers = record.value, record.headers
        with telling(f"{record.place} is no dead letter; check --topic"):
            reason = reasons.setdefault(headers["eddy.reason"], {
                "stage": headers["eddy.stage"], "letters": 0, "without_body": 0,
                # One example says more than a count. A tombstone has no value at all; bytes may be any.
                "example": {"id": headers["eddy.id"], "source": headers["eddy.source"], "detail": headers["eddy.detail"],
                            "value": None if value is None else value[:200].decode("utf-8", "replace")},
            })
            reason["letters"] += 1
            # Only `original` bytes are the event's own; others were masked, or did not fit and are told by `eddy.sha256`.
            reason["without_body"] += headers["eddy.body"] != "original"
    ranked = sorted(reasons.items(), key=lambda item: -item[1]["letters"])
    report({**account.counts, "letters": len(found), "reasons": dict(ranked)})


if __name__ == "__main__":
    main()
