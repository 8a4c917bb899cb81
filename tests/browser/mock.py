"""Serves the status page with answers of a service in one of STATES, for those that a real one is hard to bring into.

`python3 tests/browser/mock.py STATE` writes the page's address on a line and serves until it is ended.
"""

import http.server
import json
import math
import pathlib
import random
import sys

PAGE = pathlib.Path(__file__).parents[2] / "services/host/src/admin/page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NASTY = [
    "<img src=x onerror=alert(1)>", "</td></tr></table><script>alert(1)</script>", "constructor", "__proto__", "",
    "two\nlines\tand a tab", "a\u202egnp.exe", "é漢字🙂", '"quotes" & \'more\'', "x" * 400, "long words " * 40, "-1", "javascript:alert(1)",
]
NOW = "2026-11-27T07:30:00Z"


def psi(current, reference):
    total = sum(current)
    return sum((c / total - r) * math.log((c + 0.5) / (total + 0.5 * len(current)) / r) for c, r in zip(current, reference))


def entry(rng, state, kind="number", shift=0.0, labels=None):
    labels = labels or (["red", "green", "blue", "(other)"] if kind == "category" else [str(x / 2) for x in range(-4, 5)] + ["+Inf"])
    n = len(labels)
    reference = [1 / n] * n
    current = [int(500 * math.exp(shift * (at / n - 0.5))) + rng.randrange(30) for at in range(n)]
    value = psi(current, reference)
    if state == "insufficient_data":
        current, value = [rng.randrange(3) for _ in labels], None
    return {
        "profile": "5f0c9a1e", "kind": kind, "state": state, "events": sum(current), "need": 500, "seconds": 3600,
        "psi": value, "noise": value and 0.002, "critical": value and 0.005, "statistics": {"js": value and value / 8},
        "bins": [{"label": label, "current": c, "reference": r} for label, c, r in zip(labels, current, reference)],
        "history": [value and value * min(1, at / 20) + rng.random() / 500 for at in range(40)],
    }


def feature(rng, name, state="quiet", missing="quiet", **more):
    ratio = 0.21 if missing == "alert" else 0.011
    values = {"missing": {"ratio": ratio, "reference": 0.01, "state": missing}, "invalid": 0, "below": 3, "above": 1}
    return {"name": name, **entry(rng, state, **more), **values}


def output(rng, name, state="quiet", **more):
    return {"model": "digits", "version": "1", "output": name, **entry(rng, state, **more)}


def service():
    events = {"consumed": 0, "predicted": 0, "dead_lettered": 12, "abandoned": 0, "in_flight": 37, "balanced": True}
    model = {"name": "digits", "version": "1", "sha256": "0" * 64, "provider": "cpu", "fell_back": None}
    lanes = [{"partitions": [0, 2], "events": dict(events), "paused": []}, {"partitions": [1], "events": dict(events), "paused": []}]
    rng = random.Random(7)
    names = ["age", "mean_radius", "mean_texture", "income", "country", "device"]
    features = [feature(rng, name, kind="category" if name in ("country", "device") else "number") for name in names]
    drift = {
        "state": "watching", "lag": 12, "window": {"seconds": 3600, "widest_seconds": 86400, "events": None}, "evaluated": NOW,
        "features": features,
        "outputs": [output(rng, "class", kind="category", labels=list("0123456789")), output(rng, "confidence"), output(rng, "margin")],
        "models": [{"name": "digits", "version": "1", "evidence": 0.2, "alarm_at": 11.5129, "changes": 0,
                    "embedding": {"distance": 0.1, "critical": 0.3, "state": "quiet"}}],
        "left_out": [],
    }
    samples = [
        {"at": NOW, "event": f"events/{at % 3}/{991 - at}", "model": "digits", "class": str(at % 10), "confidence": 0.31 + at / 50,
         "arms": ["uncertainty"] if at % 4 else ["explore", "anomaly"], "signals": {"margin": 0.02 * at, "entropy": 0.9 - at / 40}}
        for at in range(12)
    ]
    status = {"pipeline": "digits", "version": "0.5.0", "ready": True, "config": "a1", "policy": "b2", "models": [model], "events": events,
              "skips": [], "lanes": lanes}
    return {"status": status, "ready": {"ready": True, "causes": []}, "drift": drift, "samples": {"samples": samples}}


def calm(_):
    pass


def drift(answers):
    rng = random.Random(8)
    found = answers["drift"]
    found["features"][1:3] = [feature(rng, "mean_radius", "alert", shift=1.6), feature(rng, "mean_texture", "warning", shift=0.7)]
    found["features"][4] = feature(rng, "country", "quiet", missing="alert", kind="category")
    found["outputs"][1] = output(rng, "confidence", "alert", shift=-2)
    found["models"][0].update(evidence=31.4, changes=1, embedding={"distance": 4.2, "critical": 0.3, "state": "alert"})
    found["left_out"] = [f"f{at}" for at in range(200, 230)]


def warning(answers):
    answers["drift"]["features"][0]["state"] = "warning"


def no_profile(answers):
    answers["drift"].update(state="no_profile", evaluated=None, features=[], outputs=[], models=[], window=None, lag=None)
    answers["samples"]["samples"] = []


def off(answers):
    no_profile(answers)
    answers["drift"]["state"] = "off"


def catching_up(answers):
    answers["drift"].update(state="catching_up", lag=1_234_567)
    for part in ("features", "outputs"):
        for one in answers["drift"][part]:
            one["state"] = "catching_up"


def insufficient(answers):
    rng = random.Random(9)
    found = answers["drift"]
    found["features"] = [feature(rng, name, "insufficient_data") for name in ("age", "income")]
    found["outputs"] = [output(rng, "class", "insufficient_data")]
    found["models"][0].update(evidence=None, embedding=None)


def partly(answers):
    answers["drift"]["features"][0] = feature(random.Random(9), "age", "insufficient_data")


def unready(answers):
    why = "no broker answers at 127.0.0.1:9092"
    answers["ready"] = {"ready": False, "causes": [{"condition": "lane 0: kafka", "detail": why, "seconds": 75}]}
    answers["status"]["lanes"][0]["paused"] = [{"cause": "kafka", "why": why, "seconds": 75}]


def starting(answers):
    answers["ready"] = {"ready": False, "causes": [{"condition": "service", "detail": "starting", "seconds": 2}]}
    answers["status"].update(models=None, lanes=[])
    no_profile(answers)


def many(answers):
    rng = random.Random(10)
    found = answers["drift"]["features"]
    states = ["alert"] * 3 + ["warning"] * 5 + ["insufficient_data"] * 40 + ["quiet"] * 1952
    found[:] = [feature(rng, f"pixel_{at:04}", state, shift=1.5 if state == "alert" else 0.0) for at, state in enumerate(states)]
    rng.shuffle(found)


def nulls(answers):
    found = answers["drift"]
    found["lag"] = found["evaluated"] = found["left_out"] = found["window"] = None
    for one in found["features"] + found["outputs"]:
        for field in ("psi", "noise", "critical", "statistics", "history", "missing", "bins", "kind", "events", "seconds", "profile"):
            if field in one:
                one[field] = [] if field == "bins" else None
        one["state"] = "a state of tomorrow"
    found["models"] = [{"name": "digits", "version": "1", "evidence": None, "alarm_at": None, "changes": None, "embedding": None}]
    answers["samples"]["samples"] = [{"at": None, "event": None, "model": None, "class": None, "confidence": None, "arms": None, "signals": None}]
    answers["status"]["events"] = None


def nasty(answers):
    rng = random.Random(11)
    answers["drift"]["features"] = [
        feature(rng, name, "alert" if at < 2 else "quiet", kind="category", labels=NASTY, shift=2.0 if at < 2 else 0.0) for at, name in enumerate(NASTY)
    ]
    answers["drift"]["left_out"] = NASTY
    answers["status"]["pipeline"] = NASTY[0]
    answers["status"]["models"][0]["name"] = NASTY[0]
    for at, sample in enumerate(answers["samples"]["samples"]):
        word = NASTY[at % len(NASTY)]
        sample.update(event=word, model=word, arms=[word], signals={word: 0.5}, **{"class": word})


def no_drift_page(answers):
    answers["drift"] = None


def shuffled(answers):
    """Every answer has the states of the one before, on other features."""


def nonsense(answers):
    answers["drift"]["features"] = {"age": 1}


def outage(answers):
    """The second and third round get no answer."""


def end(answers):
    """From the second round on there is no answer."""


STATES = {function.__name__: function for function in (
    calm, drift, warning, no_profile, off, catching_up, insufficient, partly, unready, starting, many, nulls, nasty, no_drift_page, shuffled, nonsense, outage, end)}


def serve(state):
    answers = service()
    STATES[state](answers)
    rounds = {"status": 0, "ready": 0, "drift": 0, "samples": 0}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            if self.path in FILES:
                file, kind = FILES[self.path]
                return self.answer(200, kind, (PAGE / file).read_bytes())
            if name in rounds:
                return self.page(name)
            return self.answer(404, "application/json", b"{}")

        def page(self, name):
            rounds[name] += 1
            if (state == "outage" and rounds[name] in (2, 3)) or (state == "end" and rounds[name] > 1):
                self.close_connection = True
                return None
            if name == "status" and answers["status"]["events"]:
                consumed = 4_000 * rounds[name]
                answers["status"]["events"].update(consumed=consumed, predicted=consumed - 49)
            if name == "drift" and state == "shuffled":
                states = answers["drift"]["features"]
                for at, one in enumerate(states):
                    one["state"] = "alert" if at == rounds[name] % len(states) else "quiet"
            is_there = answers[name] is not None and (name != "ready" or answers["ready"]["ready"])
            code = 200 if is_there else 503 if name == "ready" else 404
            return self.answer(code, "application/json", json.dumps(answers[name]).encode())

        def answer(self, code, kind, body):
            self.send_response(code)
            for header, value in {"Content-Type": kind, "Content-Length": len(body), "Content-Security-Policy": POLICY,
                                  "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}.items():
                self.send_header(header, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    print(f"http://127.0.0.1:{server.server_address[1]}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in STATES:
        sys.exit(f"usage: mock.py {'|'.join(STATES)}")
    serve(sys.argv[1])
