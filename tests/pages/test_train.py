"""The Train page without a browser: from the controls to a run folder, and from a run folder to the page."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from genlib.errors import GenlibError
from genlib.models import catalogue
from genlib.training import files, job
from genlib.training.run import Run, RunConfig, Status
from genlib.ui import runs

OpenPage = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs whose jobs would have been started; no process is."""
    started: list[str] = []

    def launch(run: Run, *, nice: int = 10) -> None:
        job.announce(run)
        started.append(run.name)

    monkeypatch.setattr(job, "launch", launch)
    return started


def make_run(
    name: str, model: str = "vae", preset: str = "quick", state: str = "stopped", steps: int = 40, **values: object
) -> Run:
    """A run folder as a job leaves it: config, metrics, sheets, status."""
    kind = catalogue.get(model)
    config = kind.configure(preset, (1, 28, 28), **values)
    run = Run.create(name, RunConfig(model=model, config=config.model_dump(mode="json"), data="mnist", preset=preset))
    for step in range(1, steps + 1):
        terms = {term: 100.0 / step + index for index, term in enumerate(kind.terms)}
        run.append_metrics({"step": step, "epoch": step / 10, "seconds": step, "split": "train", **terms})
        if step % 10 == 0:
            run.append_metrics({"step": step, "epoch": step / 10, "seconds": step, "split": "validation", **terms})
            Image.new("L", (168, 168), step).save(run.path / "samples" / f"{step:07d}.png")
    last = {term: 100.0 / steps + index for index, term in enumerate(kind.terms)}
    run.write_status(
        Status(
            state=state,
            pid=0,
            step=steps,
            total_steps=400,
            epoch=steps / 10,
            seconds=75,
            images_per_second=512,
            terms=last,
        )  # type: ignore[arg-type]
    )
    return run


def texts(app: AppTest) -> list[str]:
    """The sentences of all boxes."""
    return [box.value for kind in (app.error, app.warning, app.info) for box in kind]


def charts(app: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def html(app: AppTest) -> str:
    return " ".join(block.proto.body for block in app.get("html"))


def button(app: AppTest, label: str) -> object:
    return next(one for one in app.button if label in one.label)


# --- a new run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalogue.names())
def test_every_model_and_preset_is_offered_failures_marked_and_explained(name: str, open_page: OpenPage) -> None:
    kind = catalogue.get(name)
    app = open_page("train", new=name)
    assert not app.exception
    assert not app.error
    shown = app.selectbox(key="preset").options
    assert len(shown) == len(kind.presets)
    for preset, text in zip(kind.presets.values(), shown, strict=True):
        assert ("fails on purpose" in text) == preset.failure
    for preset, values in kind.presets.items():
        app.selectbox(key="preset").select(preset).run()
        assert values.notice in texts(app)
        assert not app.exception


def test_the_config_fields_are_there_and_what_is_changed_is_what_is_started(
    open_page: OpenPage, launched: list[str], sandbox: Path
) -> None:
    app = open_page("train", new="vae", preset="quick")
    fields = set(catalogue.get("vae").Config.model_fields) - {"channels", "height", "width"}
    keys = {widget.key for kind in (app.number_input, app.slider, app.selectbox, app.toggle) for widget in kind}
    assert {f"vae.quick.{field}" for field in fields} <= keys
    app.number_input(key="vae.quick.beta").set_value(0.5)
    app.number_input(key="minutes").set_value(3.0)
    button(app, "Start").click()  # type: ignore[attr-defined]
    app.run()
    assert launched == ["vae-1"]
    config = Run.open("vae-1").config
    assert (config.model, config.data, config.preset, config.minutes) == ("vae", "mnist", "quick", 3.0)
    assert config.config == catalogue.get("vae").configure("quick", (1, 28, 28), beta=0.5).model_dump(mode="json")
    assert config.command.startswith("genlib train vae --data mnist --preset quick --set beta=0.5 --minutes 3 ")
    assert app.selectbox(key="run").value == "vae-1"
    assert "queued" in html(app)


def test_names_never_collide(open_page: OpenPage, launched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        app = open_page("train", new="gan")
        button(app, "Start").click()  # type: ignore[attr-defined]
        app.run()
        assert not app.error
    assert launched == ["gan-1", "gan-2", "gan-3"]
    stale = iter(["gan-1", "gan-2", "gan-9"])  # as if two others had been faster between looking and starting
    monkeypatch.setattr(runs, "fresh_name", lambda model: next(stale))
    kind = catalogue.get("gan")
    assert runs.start(kind, kind.configure("quick", (1, 28, 28)), "mnist", "quick", 1.0, "").name == "gan-9"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("taken", "There is a run named 'taken' already"),
        ("../x", "cannot be a run's name"),
        ("Ä", "cannot be a run's name"),
    ],
)
def test_a_bad_name_is_one_sentence_and_starts_nothing(
    name: str, part: str, open_page: OpenPage, launched: list[str]
) -> None:
    make_run("taken")
    app = open_page("train", new="vae")
    next(field for field in app.text_input if field.label == "Run name").set_value(name)
    button(app, "Start").click()  # type: ignore[attr-defined]
    app.run()
    assert [part in error.value for error in app.error] == [True]
    assert launched == []


def test_out_of_bounds_is_the_configs_sentence_and_cannot_be_started(open_page: OpenPage) -> None:
    app = open_page("train", new="vae", preset="quick")
    app.number_input(key="vae.quick.beta").set_value(5000.0).run()
    assert [error.value for error in app.error] == [
        "vae: beta = 5000.0 is not possible: input should be less than or equal to 1000."
    ]
    assert button(app, "Start").disabled  # type: ignore[attr-defined]
    app.number_input(key="vae.quick.beta").set_value(2.0).run()
    assert not app.error
    assert not button(app, "Start").disabled  # type: ignore[attr-defined]


def test_a_full_disk_is_one_sentence_and_leaves_no_half_run(
    open_page: OpenPage, sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, value: object) -> None:
        raise files.unwritable(path, OSError(28, "No space left on device"))

    app = open_page("train", new="vae")
    monkeypatch.setattr(files, "write_json", full)
    button(app, "Start").click()  # type: ignore[attr-defined]
    app.run()
    assert ["disk is full" in error.value for error in app.error] == [True]
    assert list(sandbox.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ({"new": "gpt"}, "'gpt' in the link is no model here"),
        ({"new": "vae", "preset": "magic"}, "'magic' in the link is no preset here"),
        ({"data": "imagenet"}, "'imagenet' in the link is no data here"),
        ({"minutes": "soon"}, "'soon' in the link is not possible"),
        ({"run": "nobody"}, "There is no run named 'nobody'"),
        ({"run": "../../etc"}, "cannot be a run's name"),
        ({"new": "vae", "preset": "quick", "vae.quick.beta": "many"}, "beta = 'many' is not possible"),
        ({"new": "vae", "preset": "quick", "vae.quick.heads": "8"}, "vae has no field 'heads'"),
    ],
)
def test_a_bad_link_is_one_sentence_and_the_page_still_works(
    query: dict[str, str], part: str, open_page: OpenPage
) -> None:
    app = open_page("train", **query)
    assert not app.exception
    assert [part in error.value for error in app.error] == [True]
    assert button(app, "Start")


def test_data_that_is_not_here_gives_the_command(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENLIB_DATA", str(tmp_path))
    app = open_page("train", data="cifar10")
    assert ["genlib data fetch cifar10" in error.value for error in app.error] == [True]
    assert app.selectbox(key="data").value == "mnist"
    assert any("genlib data fetch svhn" in text.value for text in app.markdown)


def test_a_link_restores_the_controls(open_page: OpenPage) -> None:
    app = open_page(
        "train", **{"new": "gan", "preset": "mode-collapse", "gan.mode-collapse.latent": "7", "minutes": "2"}
    )
    assert app.selectbox(key="new").value == "gan"
    assert app.selectbox(key="preset").value == "mode-collapse"
    assert app.number_input(key="gan.mode-collapse.latent").value == 7
    assert app.number_input(key="minutes").value == 2
    assert "preset='mode-collapse', data='mnist', latent=7" in app.code[0].value


# --- an open run --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalogue.names())
def test_an_open_run_shows_numbers_and_every_term(name: str, open_page: OpenPage) -> None:
    make_run("mine", name, preset=next(iter(catalogue.get(name).presets)))
    app = open_page("train", run="mine")
    assert not app.exception
    assert not app.error
    (chart,) = charts(app)
    assert len(chart["data"]) == 2 * len(catalogue.get(name).terms)
    numbers = html(app)
    for part in ("stopped", "40", "/ 400", "4.00", "512", "1 min 15 s"):
        assert part in numbers
    assert len(app.get("bidi_component")) == 1
    app.toggle(key="log_loss").set_value(True).run()
    axes = [axis["type"] for key, axis in charts(app)[0]["layout"].items() if key.startswith("yaxis")]
    assert "log" in axes


@pytest.mark.parametrize(
    ("state", "part", "buttons"),
    [
        ("stopped", "Resume** goes on from there", {"Resume", "Delete"}),
        ("interrupted", "ended without a word", {"Resume", "Delete"}),
        ("failed", "the disk was full", {"Resume", "Delete"}),
        ("diverged", "lower the learning rate", {"Delete"}),
        ("finished", "", {"Delete"}),
        ("running", "", {"Stop"}),
        ("queued", "Starting", {"Stop"}),
    ],
)
def test_each_state_has_its_sentence_and_its_buttons(
    state: str, part: str, buttons: set[str], open_page: OpenPage
) -> None:
    run = make_run("mine", state=state)
    status = run.written_status()
    status.error = {
        "failed": "The disk was full.".replace("The", "Oh, the"),
        "diverged": "Training diverged: lower the learning rate.",
    }.get(state, "")
    status.heartbeat, status.queued_at, status.pid = time.time() + 3600, time.time(), 0
    run.write_status(status)
    app = open_page("train", run="mine")
    assert not app.exception
    assert (part == "") or any(part in text for text in texts(app)), texts(app)
    shown = {word for word in ("Stop", "Resume", "Delete") if any(word in one.label for one in app.button)}
    assert shown == buttons


@pytest.mark.parametrize(("name", "drawn"), [("gan", True), ("wgan-gp", True), ("pixelcnn", False)])
def test_what_was_seen_of_single_images_is_drawn_where_the_model_has_it(
    name: str, drawn: bool, open_page: OpenPage
) -> None:
    kind = catalogue.get(name)
    run = make_run("mine", name)
    for step in (10, 20):
        run.write_distributions(step, {key: [step / 100, 0.7] for key in kind.distributions})
    app = open_page("train", run="mine")
    assert not app.exception
    figures = [chart for chart in charts(app) if chart["layout"].get("barmode") == "overlay"]
    assert len(figures) == drawn
    if drawn:
        assert len(figures[0]["data"]) == 2
        assert any("At step 20," in caption.value for caption in app.caption)


def test_a_killed_job_is_seen_as_interrupted(open_page: OpenPage) -> None:
    run = make_run("mine", state="running")
    status = run.written_status()
    status.pid, status.heartbeat = 4_000_000, time.time() - 60
    run.write_status(status)
    assert any("ended without a word" in text for text in texts(open_page("train", run="mine")))


def test_stop_and_resume_reach_the_run(open_page: OpenPage, launched: list[str]) -> None:
    run = make_run("mine", state="running")
    status = run.written_status()
    status.heartbeat = time.time() + 3600
    run.write_status(status)
    app = open_page("train", run="mine")
    button(app, "Stop").click()  # type: ignore[attr-defined]
    app.run()
    assert run.stop_requested
    assert "stopping" in html(app)
    status.state = "stopped"
    run.write_status(status)
    app.run()
    button(app, "Resume").click()  # type: ignore[attr-defined]
    app.run()
    assert launched == ["mine"]
    assert not run.stop_requested


def test_the_queue_position_shows(open_page: OpenPage) -> None:
    now = time.time()
    for index, name in enumerate(("first", "second", "third")):
        run = make_run(name, state="running" if index == 0 else "queued")
        status = run.written_status()
        status.queued_at, status.heartbeat = now + index, now + 3600
        run.write_status(status)
    assert any("2 runs before it" in text for text in texts(open_page("train", run="third")))
    assert any("1 run before it" in text for text in texts(open_page("train", run="second")))


def test_remove_deletes_the_folder_but_never_a_live_run(open_page: OpenPage, sandbox: Path) -> None:
    make_run("mine")
    app = open_page("train", run="mine")
    button(app, "Delete").click()  # type: ignore[attr-defined]
    app.run()
    assert not (sandbox / "mine").exists()
    assert not app.exception
    live = make_run("live", state="running")
    status = live.written_status()
    status.queued_at = time.time()
    live.write_status(status)
    with pytest.raises(GenlibError, match="stop it before"):
        live.remove()
    held = make_run("held")
    with held.lock, pytest.raises(GenlibError, match="stop it before"):
        Run(held.path).remove()
    assert (sandbox / "held" / "config.json").is_file()


@pytest.mark.parametrize(
    ("name", "pages"),
    [("vae", ["latent_space"]), ("pixelcnn", ["completion"]), ("draw", ["glimpses"]), ("gan", ["gan_stage"])],
)
def test_doors_lead_to_the_pages_that_can_show_the_model(
    name: str, pages: list[str], open_page: OpenPage, checkpoints: Path
) -> None:
    run = make_run("mine", name, preset=next(iter(catalogue.get(name).presets)))
    assert not open_page("train", run="mine").get("page_link"), "there is nothing to show yet"
    shutil.copy(checkpoints / f"{name}-mnist.safetensors", run.checkpoint)
    links = {link.proto.page: link.proto.query_string for link in open_page("train", run="mine").get("page_link")}
    assert list(links) == [*pages, "compare"]
    assert all(links[page] == "model=mine" for page in pages)
    assert links["compare"].startswith("models=mine%2C")


def test_the_code_reproduces_the_open_run(open_page: OpenPage) -> None:
    make_run("mine", "vae", beta=0.25)
    code = open_page("train", run="mine").code[0].value
    assert "genlib.create('vae', preset='quick', data='mnist', beta=0.25)" in code
    compile(code, "code", "exec")


# --- the table ----------------------------------------------------------------------------------------------------------


def test_the_table_lists_all_runs_newest_first(open_page: OpenPage) -> None:
    for index, name in enumerate(("old", "middle", "new")):
        run = make_run(name, "gan" if name == "middle" else "vae")
        stamp = time.time() - 100 + index
        import os

        os.utime(run.path / "config.json", (stamp, stamp))
    table = open_page("train").dataframe[0].value
    assert table["run"].tolist() == ["new", "middle", "old"]
    row = table.iloc[1]
    assert (row["model"], row["data"], row["preset"], row["progress"], row["time"]) == (
        "gan",
        "mnist",
        "quick",
        10.0,
        "1 min 15 s",
    )
    assert row["state"].endswith("stopped")
    assert re.fullmatch(r"discriminator loss 2\.5", row["loss"])


def test_a_damaged_run_folder_does_not_hide_the_others(open_page: OpenPage, sandbox: Path) -> None:
    make_run("good")
    (sandbox / "bad").mkdir()
    (sandbox / "bad" / "config.json").write_text("{half")
    app = open_page("train")
    assert app.dataframe[0].value["run"].tolist() == ["good"]
    app = open_page("train", run="bad")
    assert not app.exception
    assert len(app.error) == 1


# --- what is behind it --------------------------------------------------------------------------------------------------


def test_frames_that_were_kept_stay_where_they_are_and_the_newest_is_there() -> None:
    before: list[int] = []
    for total in range(1, 3000):
        now = runs.kept(total)
        assert now[-1] == total - 1
        assert now[: len(before) - 1] == before[:-1], "only the newest frame may be replaced"
        before = now
    assert len(before) < 160
    assert runs.kept(0) == []
    assert runs.kept(20) == list(range(20))


def test_duration() -> None:
    assert [runs.duration(seconds) for seconds in (None, 0, 59.6, 75, 3700)] == [
        "–",
        "0 s",
        "1 min 00 s",
        "1 min 15 s",
        "1 h 01 min",
    ]


def test_looks_are_seldom_later_and_none_at_the_end() -> None:
    periods = [runs.period(Status(state="running", seconds=seconds)) for seconds in (0, 500, 5000)]
    assert periods == sorted(periods, key=float)  # type: ignore[arg-type]
    assert periods[0] == 1.0
    assert runs.period(Status(state="finished")) is None


@pytest.mark.parametrize("name", catalogue.names())
def test_parameters_are_counted_without_building_the_network(name: str) -> None:
    kind = catalogue.get(name)
    config = kind.configure(next(iter(kind.presets)), (1, 28, 28))
    counts = runs.parameters(name, config.model_dump())
    model = kind.from_config(config)
    assert counts == {
        part: sum(p.numel() for p in module.parameters() if p.requires_grad) for part, module in model.parts().items()
    }
