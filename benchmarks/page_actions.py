"""How long a page takes to answer an action, in a real Chromium: idle, and while one job trains.

    python benchmarks/page_actions.py [--json] [--repeats 15]

For each page one action is repeated (a button that changes what is shown) and timed from the click until the browser has no script
running any more and the new content has arrived. The second half runs the same actions while one background job trains; both medians
stand side by side, with their ratio.
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

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
# page -> the button whose click is timed
ACTIONS = {
    "": "Draw fresh samples",
    "latent_space?view=Encode": "Another image",
    "completion": "Another image",
    "glimpses?view=Read": "Another image",
    "glimpses?view=Generate": "New seed",
    "compare": "New seed",
}
# Set when the page starts a run; a click counts as answered when the next run has ended.
WATCH = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  window.runs = 0;
  new MutationObserver(() => { if (app.dataset.testScriptState === "notRunning") window.runs += 1; })
    .observe(app, { attributes: true, attributeFilter: ["data-test-script-state"] });
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


def measure(browser: object, url: str, repeats: int) -> dict[str, float]:
    """Median milliseconds of each page's action."""
    medians = {}
    for path, name in ACTIONS.items():
        page = browser.new_page(viewport={"width": 1280, "height": 720})  # type: ignore[attr-defined]
        page.set_default_timeout(60_000)
        page.goto(f"{url}/{path}")
        button = page.get_by_role("button", name=name)
        button.wait_for()
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        page.wait_for_timeout(1500)
        page.evaluate(WATCH)
        times = []
        for _ in range(repeats + 2):
            before = page.evaluate("window.runs")
            started = time.perf_counter()
            button.click()
            page.wait_for_function(f"window.runs > {before}", polling=5)
            times.append(1000 * (time.perf_counter() - started))
            page.wait_for_timeout(250)
        medians[path or "home"] = round(statistics.median(times[2:]), 1)
        page.close()
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    runs = tempfile.mkdtemp()
    server, url = serve(runs)
    environment = {**os.environ, "GENLIB_RUNS": runs}
    genlib = [sys.executable, "-m", "genlib.cli"]
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
            idle = measure(browser, url, asked.repeats)
            subprocess.run(
                [*genlib, "train", "vae", "--preset", "quick", "--run", "load", "--background"],
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            time.sleep(12)  # the job imports PyTorch and takes its first steps
            busy = measure(browser, url, asked.repeats)
            subprocess.run([*genlib, "stop", "load"], env=environment, check=True, stdout=subprocess.DEVNULL)
            browser.close()
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(runs, ignore_errors=True)
    rows = {
        name: {"idle_ms": idle[name], "training_ms": busy[name], "ratio": round(busy[name] / idle[name], 2)}
        for name in idle
    }
    totals = {"idle_ms": statistics.median(idle.values()), "training_ms": statistics.median(busy.values())}
    result = {"cores": os.cpu_count(), "repeats": asked.repeats, "pages": rows, "median": totals}
    if asked.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{'page':28}{'idle':>10}{'training':>12}{'ratio':>8}")
    for name, row in rows.items():
        print(f"{name:28}{row['idle_ms']:>8.0f}ms{row['training_ms']:>10.0f}ms{row['ratio']:>8}")
    print(f"{'median':28}{totals['idle_ms']:>8.0f}ms{totals['training_ms']:>10.0f}ms")


if __name__ == "__main__":
    main()
