"""Looks at a status page in a real browser, as people with eyes, keyboards and screen readers do.

`python3 tests/browser/page.py URL FOLDER [--headline WORDS]… --state STATE…` waits until the page's headlines have said the
words, one after the other, then looks at it in each of the states in turn; writes screenshots into the folder and findings
as JSON; ends with 1 when there are any.
"""

import argparse
import base64
import json
import pathlib
import sys
import urllib.parse

from devtools import BROWSER, Browser

# Which headlines there were, and which timers are pending: set up before the page's own script runs.
WITNESS = """
window.witness = { headlines: [], timers: new Set() };
const [start, stop] = [window.setTimeout, window.clearTimeout];
window.setTimeout = (call, wait, ...more) => {
  const timer = start(() => { witness.timers.delete(timer); call(...more); }, wait);
  witness.timers.add(timer);
  return timer;
};
window.clearTimeout = (timer) => { witness.timers.delete(timer); stop(timer); };
document.addEventListener('DOMContentLoaded', () => {
  const note = () => witness.headlines.push(document.getElementById('headline').textContent);
  note();
  new MutationObserver(note).observe(document.getElementById('headline'), { childList: true, characterData: true, subtree: true });
});
"""
AXE = """axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations, passes }) =>
  ({ passes: passes.length, violations: violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`).slice(0, 3).join(' | ')}`) }))"""
WIDTHS = {"desk": 1280, "tablet": 1000, "zoomed": 640, "phone": 320}


class Look:
    def __init__(self, browser, folder):
        self.browser, self.folder, self.findings = browser, folder, []
        self.passes, self.opened, self.prefix = 0, 0, ""

    def check(self, is_right, finding):
        if not is_right:
            self.findings.append(finding)

    def load(self, url):
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.browser.call(f"{domain}.enable")
        self.browser.call("Page.addScriptToEvaluateOnNewDocument", source=WITNESS)
        self.size(WIDTHS["desk"])
        # A bar would be drawn into the page's width, and not into the picture of it.
        self.browser.call("Emulation.setScrollbarsHidden", hidden=True)
        self.browser.call("Page.navigate", url=url)
        self.browser.wait_for("the page", "document.readyState === 'complete' && 'witness' in window")

    def hear(self, headlines):
        said = "const said = [...witness.headlines]; const wanted = %s; for (const words of wanted) { const at = said.findIndex((one) => one.includes(words)); if (at < 0) return false; said.splice(0, at + 1); } return true;"
        self.browser.wait_for(f"the headlines {headlines}", f"(() => {{ {said % json.dumps(headlines)} }})()")
        heard = "document.getElementById('headline').textContent !== witness.headlines[0]"
        self.browser.wait_for("an answer", heard)

    def look(self, state):
        """Everything that is looked at in one state."""
        self.prefix = f"{state}-"
        if state != "now":
            self.browser.wait_for(f"the state {state}", f"document.getElementById('verdict').dataset.state === {json.dumps(state)}")
        self.structure()
        self.admits_age()
        self.everywhere("")
        if self.keyboard():
            self.opened += 1
            self.keeps_focus()
            self.everywhere("-open")
            self.closes()
        self.finds()
        self.hides()

    def size(self, width):
        self.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)

    def scheme(self, scheme):
        self.browser.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}])

    def shoot(self, name):
        shot = self.browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        (self.folder / f"{self.prefix}{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def axe(self, where):
        found = self.browser.evaluate(AXE)
        self.passes += found["passes"]
        self.findings += [f"{where}: {violation}" for violation in found["violations"]]

    def everywhere(self, suffix):
        for scheme in ("light", "dark"):
            self.scheme(scheme)
            for width_name, width in WIDTHS.items():
                self.size(width)
                wide = self.browser.evaluate("document.scrollingElement.scrollWidth")
                self.check(wide <= width, f"at {width} px the page is {wide} px wide")
                self.axe(f"{scheme}, {width} px{suffix}")
                if scheme == "light" or width_name == "desk":
                    self.shoot(f"{scheme}-{width_name}{suffix}")
        self.scheme("light")
        self.size(WIDTHS["desk"])

    def keyboard(self):
        """Tab to the first feature, open it with Enter; gives whether there was one."""
        if not self.browser.evaluate("document.querySelectorAll('.open').length"):
            return False
        for _ in range(20):
            self.browser.press("Tab", 9)
            if self.browser.evaluate("document.activeElement.matches('.open')"):
                break
        self.check(self.browser.evaluate("document.activeElement.matches('.open')"), "20 tabs do not lead to a feature")
        self.check(self.browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "the focus is not visible")
        self.browser.press("Enter", 13, "\r")
        self.browser.wait_for("the detail", "document.activeElement.getAttribute('aria-expanded') === 'true'")
        detail = "document.getElementById(document.activeElement.getAttribute('aria-controls'))"
        self.check(self.browser.evaluate(f"{detail}?.checkVisibility()"), "Enter on a feature shows no detail")
        bins = self.browser.evaluate(f"[{detail}.querySelectorAll('.bins tbody tr').length, {detail}.querySelectorAll('.bars g').length]")
        self.check(bins[0] == bins[1], f"{bins[0]} bins in the table, {bins[1]} in the chart")
        return True

    def keeps_focus(self):
        """The next answers leave the focus and the detail where they are."""
        now = "[document.activeElement.textContent, document.activeElement.getAttribute('aria-expanded'), ...[...document.querySelectorAll('#features .open')].slice(0, 20).map(({ textContent }) => textContent)]"
        before = self.browser.evaluate(now)
        self.next_answer()
        after = self.browser.evaluate(now)
        self.check(after[:len(before)] == before, f"an answer made of {before} {after}")

    def closes(self):
        self.browser.press("Enter", 13, "\r")
        self.browser.wait_for("the detail to close", "document.querySelectorAll('.detail').length === 0")
        self.browser.evaluate("document.activeElement.blur()")

    def next_answer(self):
        self.browser.evaluate("witness.asked = performance.getEntriesByType('resource').length")
        self.browser.wait_for("the next answers", "performance.getEntriesByType('resource').length >= witness.asked + 4 && witness.timers.size > 0")

    def finds(self):
        """The filter leaves what has its words, and everything can be shown."""
        names = "[...document.querySelectorAll('#features .open')].map(({ textContent }) => textContent)"
        if self.browser.evaluate("!document.getElementById('filter-line').hidden"):
            wanted = self.browser.evaluate(names)[-1]
            self.browser.evaluate("document.getElementById('filter').focus()")
            self.browser.call("Input.insertText", text=wanted)
            found = self.browser.evaluate(names)
            self.check(found and all(wanted in name for name in found), f"the filter for {wanted} leaves {found[:5]}")
            self.browser.evaluate("{ const filter = document.getElementById('filter'); filter.value = ''; filter.dispatchEvent(new Event('input')); }")
        if self.browser.evaluate("!document.getElementById('all').hidden"):
            every = int(self.browser.evaluate("document.getElementById('all').textContent.replace(/[^0-9]/g, '')"))
            self.browser.evaluate("document.getElementById('all').click()")
            self.check(len(self.browser.evaluate(names)) == every, f"not all {every} rows are shown")
            self.browser.evaluate("document.getElementById('all').click()")

    def hides(self):
        """A hidden page asks for nothing, and asks again when it is seen."""
        hide = "Object.defineProperty(document, 'hidden', { value: %s, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))"
        self.browser.evaluate(hide % "true")
        self.check(self.browser.evaluate("witness.timers.size") == 0, "a hidden page goes on asking")
        self.browser.evaluate(hide % "false")
        self.next_answer()

    def structure(self):
        live = self.browser.evaluate("[...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log], output')].map(({ id }) => id)")
        self.check(live == ["headline"], f"live regions: {live}")
        self.check(self.browser.evaluate("document.querySelectorAll('main img, main script, main iframe').length") == 0, "a word became markup")
        shown = self.browser.evaluate("document.querySelectorAll('#features tbody .row').length")
        self.check(shown <= 101, f"{shown} rows are drawn at first")

    def admits_age(self):
        """What an unanswered question leaves on the page is marked as old."""
        silent = self.browser.evaluate("document.getElementById('headline').textContent.startsWith('No answer since')")
        old = self.browser.evaluate("document.querySelectorAll('[data-old]').length")
        self.check(not silent or old == 4, f"of a service that does not answer {old} of 4 parts are marked as old")

    def heard_errors(self, url, may_fail):
        origin = urllib.parse.urlsplit(url)[:2]
        for event in self.browser.events:
            kind, what = event.get("method"), event.get("params", {})
            if kind == "Runtime.exceptionThrown":
                self.findings.append(f"exception: {what['exceptionDetails'].get('exception', {}).get('description', what)}")
            elif kind == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning"):
                self.check(may_fail, f"console: {what['args']}")
            elif kind == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
                said = what["entry"]
                # A browser logs each answer that is no success; a service that is not ready gives one by design.
                is_meant = said["source"] == "network" and (may_fail or said.get("url", "").endswith("/ready"))
                self.check(is_meant, f"log: {said['text']} {said.get('url', '')}")
            elif kind == "Page.javascriptDialogOpening":
                self.findings.append(f"dialog: {what['message']}")
            elif kind == "Network.requestWillBeSent":
                asked = urllib.parse.urlsplit(what["request"]["url"])
                self.check(asked.scheme == "data" or asked[:2] == origin, f"asks elsewhere: {what['request']['url']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--state", action="append", required=True, help="look when the verdict is this, after those before; `now`: at once")
    parser.add_argument("--headline", action="append", default=[], help="wait until a headline says this, after those before")
    parser.add_argument("--may-fail", action="store_true", help="requests may fail, and answers be nonsense")
    words = parser.parse_args()
    words.folder.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        look = Look(browser, words.folder)
        try:
            look.load(words.url)
            look.hear(words.headline)
            browser.evaluate((BROWSER / "axe.min.js").read_text() + "; true")
            for state in words.state:
                look.look(state)
        except TimeoutError as error:
            look.findings.append(str(error))
            look.shoot("in-vain")
        look.heard_errors(words.url, words.may_fail)
        said = {name: browser.evaluate(f"document.getElementById('{name}').innerText") for name in ("headline", "notes")}
    print(json.dumps({"findings": look.findings, "passes": look.passes, "opened": look.opened, **said}, ensure_ascii=False))
    sys.exit(1 if look.findings else 0)


if __name__ == "__main__":
    main()
