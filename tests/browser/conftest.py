"""A real Chromium and a real Streamlit server for the tests in this folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90_000  # ms for what should take one second: a test's verdict must not depend on what else the machine does
# Quiet: no updates, no reports, nothing that reaches for the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def _absent(reason: str) -> None:
    # On CI a missing browser is a broken build; elsewhere it is somebody's laptop.
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium: GENLIB_CHROMIUM, the system's, or Playwright's own."""
    try:
        from playwright.sync_api import Error, expect, sync_playwright
    except ImportError:
        _absent("the playwright package is not installed")
    path = (
        os.environ.get("GENLIB_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        except Error as error:
            _absent(f"no Chromium that starts (set GENLIB_CHROMIUM): {error}")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serve_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """``serve_app(path, *options, env={}) -> url``: ``streamlit run``, once a session for each path, options and env."""
    running: dict[tuple[str, ...], tuple[subprocess.Popen, str]] = {}

    def serve(path: str | Path, *options: str, env: Mapping[str, str] | None = None) -> str:
        name = (str(Path(path).resolve()), *options, *(f"{key}={value}" for key, value in sorted((env or {}).items())))
        if name in running:
            return running[name][1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path_factory.mktemp("streamlit") / "server.log"
        command = [sys.executable, "-m", "streamlit", "run", name[0], "--server.headless=true", f"--server.port={port}"]
        command += [
            "--server.address=127.0.0.1",
            "--server.fileWatcherType=none",
            "--browser.gatherUsageStats=false",
            *options,
        ]
        path_variable = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path_variable, **(env or {})},
            )
        url = f"http://127.0.0.1:{port}"
        running[name] = (process, url)
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                    if answer.status == 200:
                        return url
            except (urllib.error.URLError, OSError):
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"streamlit did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)

    yield serve
    for process, _ in running.values():
        process.terminate()
    for process, _ in running.values():
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An ``env`` for `serve_app`: a small fresh checkpoint of every model, MODEL-mnist, and an empty folder of runs."""
    from genlib.models import catalogue
    from genlib.training import checkpoint
    from tests.pages.conftest import tiny as tiny_model

    folder = tmp_path_factory.mktemp("checkpoints")
    for name in catalogue.names():
        model = tiny_model(name)
        origin = checkpoint.Origin(data="mnist", step=1)
        checkpoint.save(folder / f"{name}-mnist.safetensors", model, model.state_dict(), origin)
    return {"GENLIB_CHECKPOINTS": str(folder), "GENLIB_RUNS": str(tmp_path_factory.mktemp("runs"))}


@pytest.fixture
def page(chromium):
    """A fresh page, 1280 x 720; an uncaught error in the browser fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"uncaught errors in the browser: {errors}"
