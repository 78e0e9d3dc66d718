"""The home page without a browser."""

import json

from genlib.models import catalogue
from genlib.ui import home


def words(app) -> str:
    """What stands under the walls, or in their place."""
    return " ".join(html.proto.body for html in app.get("html") if "genlib-walls" in html.proto.body)


def test_a_wall_of_every_shipped_model_and_a_door_to_every_page(open_page):
    app = open_page("home", seed="2")
    assert not app.exception
    assert not app.error
    assert 'role="alert"' not in words(app)
    for name in catalogue.names():
        assert f"<b>{name}-mnist</b>" in words(app)


def test_a_broken_checkpoint_says_so_and_the_others_are_drawn(open_page, tmp_path, checkpoints, monkeypatch):
    for file in checkpoints.glob("*.safetensors"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    broken = tmp_path / "vae-mnist.safetensors"
    broken.write_bytes(broken.read_bytes()[:1000])
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path))
    app = open_page("home")
    assert not app.exception
    assert words(app).count('role="alert"') == 1
    assert "vae-mnist" in words(app).partition('role="alert"')[2].partition("</div>")[0]
    assert "pictures in" in words(app)


def test_of_several_checkpoints_of_a_model_the_plain_one_is_shown(open_page, tmp_path, checkpoints, monkeypatch):
    for name in ("vae-mnist", "vae-mnist-beta4", "gan-mnist-wide"):
        source = checkpoints / f"{name.split('-')[0]}-mnist.safetensors"
        (tmp_path / f"{name}.safetensors").write_bytes(source.read_bytes())
        (tmp_path / f"{name}.json").write_text(json.dumps({"model": name.split("-")[0], "data": "mnist"}))
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path))
    home._facts.cache_clear()
    app = open_page("home")
    assert not app.exception
    assert "<b>vae-mnist</b>" in words(app)
    assert "<b>vae-mnist-beta4</b>" not in words(app)
    assert "<b>gan-mnist-wide</b>" in words(app), "the only one of its model"
