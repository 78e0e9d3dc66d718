"""How long a page takes to answer an action, in a real Chromium: idle, and while one job trains.

    python benchmarks/page_actions.py [--json] [--repeats 15] [--only completion] [--no-training]

Each row is one action on one page, a button or a released slider, and every repeat asks for something that nobody has asked for
before, so that no answer comes from a cache. The clock runs in the page itself: it starts with the browser's own time stamp of the click
(or of the key that moves the slider) and is read in the frame after the one that shows the change. Two times are taken:

first   until a picture that was not on the page before is on the screen: an image that has loaded, or a component's canvas that has
        been painted anew. Elsewhere on the page more may still be coming.
all     until the last picture has changed and no script is running any more: nothing else comes.

The second half does the same while one background job trains. The table shows medians.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
WARM_UP = 3  # actions that are not counted


class Action(NamedTuple):
    """``start`` holds the parameters of the link; "{n}" becomes another number in each half, so that nothing is drawn twice."""

    page: str
    start: str
    role: str
    name: str

    @property
    def title(self) -> str:
        view = next((f" ({part[5:]})" for part in self.start.split("&") if part.startswith("view=")), "")
        return f"{self.page or 'home'}{view}: {self.name}"


ACTIONS = (
    Action("", "seed={n}", "button", "Draw fresh samples"),
    Action("latent_space", "model=vae-mnist&view=Encode&digit={n}", "button", "Another image"),
    Action("completion", "digit={n}", "button", "Another image"),
    Action("completion", "digit={n}&temperature=0.5", "slider", "Temperature"),
    Action("glimpses", "view=Read&digit={n}", "button", "Another image"),
    Action("glimpses", "view=Generate&seed={n}", "button", "New seed"),
    Action("glimpses", "view=Generate&seed={n}&temperature=0.5", "slider", "Temperature"),
    Action("compare", "seed={n}", "button", "New seed"),
)

# Before anything else on the page: which canvases were painted since the last look. Summing up the pixels of those alone keeps the clock
# from costing what it measures; asking all of them in every frame took a quarter of the browser's time.
MARK = """
(() => {
  window.painted = new Set();
  const contexts = CanvasRenderingContext2D.prototype;
  for (const name of ['drawImage', 'putImageData', 'fillRect', 'clearRect', 'stroke', 'fill']) {
    const draw = contexts[name];
    contexts[name] = function (...values) {
      if (this.canvas.isConnected) window.painted.add(this.canvas);
      return draw.apply(this, values);
    };
  }
})();
"""

# Pictures are told apart by their address or by a sum over their pixels; one that was on the page before is no answer.
WATCH = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const sum = canvas => {
    if (!canvas.isConnected || !canvas.width || !canvas.height || !canvas.checkVisibility()) return 0;
    const data = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    let total = 7;
    for (let i = 0; i < data.length; i += 3) total = (total * 31 + data[i]) | 0;
    return total;
  };
  const images = document.getElementsByTagName('img'); // live: the list costs nothing while nothing changes
  const roots = [document, ...[...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)];
  const known = new Set(roots.flatMap(root => [...root.querySelectorAll('canvas')].map(sum)));
  painted.clear();
  const fresh = () => {
    let found = false;
    const note = picture => { if (picture && !known.has(picture)) { known.add(picture); found = true; } };
    for (const image of images) if (image.complete && image.naturalWidth) note(image.src);
    for (const canvas of painted) note(sum(canvas));
    painted.clear();
    return found;
  };
  let watching = null;
  const look = now => {
    if (!watching) return;
    const w = watching;
    // What a frame's callback finds changed has been painted at the latest in that frame; it is on the screen in the next one.
    if (w.pending) { w.last = now - w.start; w.first ??= w.last; w.pending = false; }
    w.pending = fresh();
    requestAnimationFrame(look);
  };
  window.arm = () => { fresh(); window.armed = true; };
  const begin = event => {
    if (!window.armed) return;
    window.armed = false;
    watching = window.answer = { start: event.timeStamp, first: null, last: null, ended: null };
    requestAnimationFrame(look);
  };
  for (const kind of ['click', 'keydown']) addEventListener(kind, begin, true);
  new MutationObserver(() => {
    if (watching && app.dataset.testScriptState === 'notRunning') watching.ended = performance.now() - watching.start;
  }).observe(app, { attributes: true, attributeFilter: ['data-test-script-state'] });
  window.settled = () => {
    const w = watching;
    if (!w || w.first === null || app.dataset.testScriptState !== 'notRunning') return false;
    const last = Math.max(w.last, w.ended); // a run so short that the page never says that it is running counts by its pictures
    if (performance.now() - w.start - last < 500) return false;
    watching = null;
    return { first: w.first, all: last };
  };
}"""


def serve(runs: str) -> tuple[subprocess.Popen, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "genlib.ui.serve",
        "--server.headless=true",
        f"--server.port={port}",
        "--server.address=127.0.0.1",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "GENLIB_RUNS": runs}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
        except OSError:
            time.sleep(0.25)
        else:
            return process, url
    raise SystemExit("the app did not start")


def answers(browser: Any, url: str, action: Action, start: int, repeats: int) -> list[dict[str, float]]:
    """``first`` and ``all`` of each repeat, milliseconds."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(60_000)
    page.add_init_script(MARK)
    page.goto(f"{url}/{action.page}?{action.start.format(n=start)}")
    control = page.get_by_role(action.role, name=action.name)
    control.wait_for()
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_timeout(2000)
    page.get_by_text("Encoding the test images").wait_for(state="detached")
    page.evaluate(WATCH)
    found = []
    for _ in range(repeats + WARM_UP):
        page.evaluate("arm()")
        if action.role == "slider":
            control.press("ArrowRight")
        else:
            control.click()
        found.append(page.wait_for_function("window.settled()", polling=100).json_value())
    page.close()
    return found[WARM_UP:]


def measure(browser: Any, url: str, actions: list[Action], start: int, repeats: int) -> dict[str, dict[str, float]]:
    """Medians for each action."""
    rows = {}
    for action in actions:
        found = answers(browser, url, action, start, repeats)
        rows[action.title] = {
            what: round(statistics.median(one[what] for one in found), 1) for what in ("first", "all")
        }
        print(f"{action.title}: {rows[action.title]}", file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", default="", help="actions whose title holds this text")
    parser.add_argument("--no-training", action="store_true", help="the idle half only")
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    actions = [action for action in ACTIONS if asked.only in action.title]
    if not actions:
        raise SystemExit(f"no action's title holds {asked.only!r}: {', '.join(action.title for action in ACTIONS)}")
    runs = tempfile.mkdtemp()
    server, url = serve(runs)
    environment = {**os.environ, "GENLIB_RUNS": runs}
    genlib = [sys.executable, "-m", "genlib.cli"]
    halves = {}
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
            halves["idle"] = measure(browser, url, actions, 1000, asked.repeats)
            if not asked.no_training:
                subprocess.run(
                    [*genlib, "train", "vae", "--preset", "quick", "--run", "load", "--background"],
                    env=environment,
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                time.sleep(12)  # the job imports PyTorch and takes its first steps
                halves["training"] = measure(browser, url, actions, 5000, asked.repeats)
                subprocess.run([*genlib, "stop", "load"], env=environment, check=True, stdout=subprocess.DEVNULL)
            browser.close()
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(runs, ignore_errors=True)
    for rows in halves.values():
        rows["median"] = {what: statistics.median(row[what] for row in rows.values()) for what in ("first", "all")}
    if asked.json:
        print(json.dumps({"cores": os.cpu_count(), "repeats": asked.repeats, "unit": "ms", **halves}, indent=1))
        return
    print(f"{'ms, medians':45}" + "".join(f"{half + ' ' + what:>16}" for half in halves for what in ("first", "all")))
    for title in halves["idle"]:
        numbers = [halves[half][title][what] for half in halves for what in ("first", "all")]
        print(f"{title:45}" + "".join(f"{number:16.0f}" for number in numbers))


if __name__ == "__main__":
    main()
