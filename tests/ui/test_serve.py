"""What the app does before it opens its port."""

import pytest

from genlib.training import checkpoint
from genlib.ui import latent, models, serve
from genlib.ui.recent import Recent
from tests.pages.conftest import tiny


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two small checkpoints, of which one is broken."""
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path))
    monkeypatch.setenv("GENLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(latent, "_planes", Recent(4))
    model = tiny("vae")
    checkpoint.save(
        tmp_path / "vae-mnist.safetensors", model, model.state_dict(), checkpoint.Origin(data="mnist", step=1)
    )
    (tmp_path / "gan-mnist.safetensors").write_bytes(b"cut short")
    models._available.clear()
    yield tmp_path
    models._available.clear()


def test_the_plane_that_latent_space_begins_with_is_there_and_a_broken_checkpoint_stops_nothing(folder, monkeypatch):
    serve.load()
    name = models.offered(latent.CODES, latent.NOISE)[0]
    assert name == "vae-mnist"
    s = latent.Settings(
        name, models.version(name), "mnist", models.get(name), latent.ENCODE, latent.DRAWING, 3, 9, latent.EVEN
    )
    monkeypatch.setattr(latent.figures, "make_atlas", lambda *_: pytest.fail("the plane was not kept"))
    assert latent.plane(s, latent.codes_if_here(s)).side > 1
