"""The app without a browser: tiny checkpoints in place of the shipped ones, an empty folder of runs, and a page opened by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from genlib.models import catalogue
from genlib.models.contract import Model
from genlib.training import checkpoint
from genlib.ui import ahead, frame

ROOT = Path(__file__).resolve().parents[2]

# Whatever makes a network small; each model takes the fields it has.
TINY = {
    "hidden": 8,
    "blocks": 1,
    "head": 8,
    "head_layers": 1,
    "steps": 3,
    "generator_width": 8,
    "discriminator_width": 8,
}


def tiny(name: str, **values: object) -> Model:
    """A fresh, small model of the catalogue for 28 x 28 grey images."""
    kind = catalogue.get(name)
    small = {field: value for field, value in TINY.items() if field in kind.Config.model_fields}
    return kind.from_config(kind.configure(None, (1, 28, 28), **{**small, **values}))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MODEL-mnist.safetensors for every model of the catalogue."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in catalogue.names():
        model = tiny(name)
        checkpoint.save(
            folder / f"{name}-mnist.safetensors", model, model.state_dict(), checkpoint.Origin(data="mnist", step=1)
        )
    return folder


@pytest.fixture(autouse=True)
def sandbox(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the app at the tiny checkpoints and at a folder of runs of this test's own, which it returns; keep no process warm."""
    runs = tmp_path / "runs"
    runs.mkdir()
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("GENLIB_RUNS", str(runs))
    monkeypatch.setenv("GENLIB_STANDBY", "0")
    return runs


@pytest.fixture(autouse=True)
def planned(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[ahead.Task]]:
    """What pages plan to compute in advance, by page; nothing of it is done, so that a test sees what the page itself computes."""
    plans: dict[str, list[ahead.Task]] = {}
    monkeypatch.setattr(ahead, "plan", lambda page, tasks: plans.update({page: list(tasks)}))
    return plans


@pytest.fixture(autouse=True)
def through_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages run inside app.py, as they do for visitors.

    AppTest forgets before each run that app.py has a navigation of its own, and then the folder named pages/ makes it run a page alone.
    """
    make = PagesManager.__init__

    def made(self: PagesManager, *arguments: object, **options: object) -> None:
        make(self, *arguments, **options)  # type: ignore[arg-type]
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", made)


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """``open_page("train", run="vae-1")``: the app's page with that query, after its first run, the lesson open at its code."""

    def opened(name: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
        app.switch_page(f"pages/{name}.py")
        app.session_state["lesson"] = frame.CODE
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    return opened


def shown_pictures(app: AppTest) -> list[str]:
    """The pictures that are in the page's HTML, in order, as base64."""
    return [
        found
        for element in app.get("html")
        for found in re.findall(r'src="data:image/png;base64,([^"]+)"', element.proto.body)
    ]
