"""How soon a page shows something, in a real Chromium: from entering its address to the first picture, and from Start to the first loss.

    python benchmarks/page_opening.py [--json] [--repeats 5]

The app is started anew for each repeat, as ``genlib app`` starts it; the first row is the visit that comes first after it has opened its
port. Each page is visited by a browser that was never there, so that the app's own scripts are loaded, too, and then once more. A picture
is an image that has loaded, a canvas on which something has been painted, or a chart. The clock is the browser's own; it starts when the
address is entered, or with the click on Start, and is read in the frame after the one in which the picture was found. Medians.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from typing import Any

from page_actions import FLAGS, MARK, ROOT, serve

# Emoji and icons are no images here; a picture is at least this wide on the screen.
SEEN = """
(() => {
  const LEAST = 40;
  const wide = node => node.getBoundingClientRect().width >= LEAST;
  const found = () =>
    [...document.images].some(image => image.complete && image.naturalWidth && wide(image)) ||
    [...painted].some(canvas => canvas.isConnected && wide(canvas)) ||
    [...document.querySelectorAll('.js-plotly-plot .main-svg')].some(wide);
  let pending = false;
  const look = now => {
    if (pending) { window.seen = now; return; }
    pending = found();
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""
LOSS = """() => {
  const point = '.js-plotly-plot .scatterlayer .trace .js-line, .js-plotly-plot .scatterlayer .trace .point';
  addEventListener('click', event => {
    window.shown = null;
    const look = now => {
      if (document.querySelector(point)) window.shown = now - event.timeStamp;
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, { capture: true, once: true });
}"""


def opened(browser: Any, address: str) -> tuple[float, float]:
    """Seconds from entering an address to its first picture: in a browser that was never there, and in the same one once more."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    found = []
    for _ in range(2):
        page = context.new_page()
        page.add_init_script(MARK + SEEN)
        page.goto(address, wait_until="commit")
        found.append(page.wait_for_function("window.seen", polling=100, timeout=60_000).json_value() / 1000)
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        page.wait_for_timeout(500)
        page.close()
    context.close()
    return found[0], found[1]


def first_loss(browser: Any, url: str) -> float:
    """Seconds from a click on Start to the first point of a loss curve."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(f"{url}/train?new=vae&preset=quick&minutes=1")
    start = page.get_by_role("button", name="Start")
    start.wait_for()
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_timeout(1000)
    page.evaluate(LOSS)
    start.click()
    found = page.wait_for_function("window.shown", polling=100, timeout=120_000).json_value() / 1000
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Resume").wait_for(timeout=60_000)
    context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    names = sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem not in ("home", "train"))
    pages = {"home": "", **{name: name for name in names}}  # name -> address
    first, loss = "the first visit: home", "train: Start to first loss"
    rows: dict[str, list[tuple[float, ...]]] = {first: [], **{name: [] for name in pages}, loss: []}
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for _ in range(asked.repeats):
            runs = tempfile.mkdtemp()  # empty each time: the curve of an earlier run would be taken for the new one's
            server, url = serve(runs)
            try:
                rows[first].append(opened(browser, url))
                for name, path in pages.items():
                    rows[name].append(opened(browser, f"{url}/{path}"))
                rows[loss].append((first_loss(browser, url),))
            finally:
                server.terminate()
                server.wait(20)
                shutil.rmtree(runs, ignore_errors=True)
        browser.close()
    medians = {
        name: [round(statistics.median(times), 2) for times in zip(*found, strict=True)] for name, found in rows.items()
    }
    if asked.json:
        print(json.dumps({"cores": os.cpu_count(), "repeats": asked.repeats, "unit": "s", **medians}, indent=1))
        return
    print(f"{'s, medians':32}{'new browser':>14}{'once more':>14}")
    for name, times in medians.items():
        print(f"{name:32}" + "".join(f"{seconds:14.2f}" for seconds in times))
    for i, what in enumerate(("new browser", "once more")):
        print(f"median of the pages, {what}: {statistics.median(medians[name][i] for name in pages):.2f} s")


if __name__ == "__main__":
    main()
