"""A headless Chromium, driven through its DevTools protocol over a pipe: the Python of the system is all it takes."""

import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

BROWSER = pathlib.Path(__file__).parents[2] / ".eddy/browser"
PATIENCE = 120


class Browser:
    """One tab. What happened in it is in `events`, in order."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="eddy-browser-")
        # The browser reads commands from its descriptor 3 and writes answers to 4.
        theirs_in, self.ours_out = os.pipe()
        self.ours_in, theirs_out = os.pipe()
        os.set_inheritable(theirs_in, True)
        os.set_inheritable(theirs_out, True)
        line = 'exec "$0" --remote-debugging-pipe --user-data-dir="$1" 3<&"$2" 4>&"$3"'
        words = ["bash", "-c", line, str(BROWSER / "chromium"), self.profile, str(theirs_in), str(theirs_out)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        close_fds=False, start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)
        self.rest, self.number, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Its session holds what it started, and nothing else.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.ours_out, json.dumps(message).encode() + b"\0") if len(json.dumps(message)) < 60_000 else self.write(message)
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.receive(deadline, method)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def write(self, message):
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.ours_out, data):]

    def receive(self, deadline, what):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.ours_in], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.ours_in, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError(f"no answer to {what}: the browser {'is slow' if not ready else 'has ended'}; run tests/setup/browser")
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, expression):
        """The value of an expression in the page; waits for a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression[:200]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, what, expression):
        """Waits until the expression is true, and gives its value."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for {what}")
            time.sleep(0.1)
        return value

    def press(self, key, code, text=""):
        down = {"type": "keyDown" if text else "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", **down, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", **{**down, "type": "keyUp"})
