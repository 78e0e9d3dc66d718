"""The GAN stage: what a step changes, what the meter and the score count, and the page without a browser."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from genlib import data
from genlib.errors import GenlibError
from genlib.models import catalogue, get
from genlib.ui import gan_stage, gan_stage_game, gan_stage_live, gan_stage_quiz
from genlib.ui.gan_stage_cures import cures
from genlib.ui.gan_stage_game import FRAMES, Game, advance, shares, spread
from genlib.ui.gan_stage_noise import between, combine
from genlib.ui.gan_stage_round import PICTURES, Round, make_round, score
from tests.pages.conftest import tiny

SMALL = {"generator_width": 8, "discriminator_width": 16, "batch_size": 4}
ADVERSARIAL = gan_stage.kinds()
FAILURES = [(name, preset) for name in ADVERSARIAL for preset, value in get(name).presets.items() if value.failure]


@pytest.fixture(autouse=True)
def small_crowd(monkeypatch):
    monkeypatch.setattr(gan_stage_game, "CROWD", 16)


def game(name: str = "gan", seed: int = 0, **values) -> Game:
    return Game.fresh(name, None, "mnist", seed, **{**SMALL, **values})


def weights(part: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in part.parameters()]


def state(part: torch.nn.Module) -> list[torch.Tensor]:
    """Weights, and batch norm's statistics."""
    return [value.clone() for value in part.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# -- the game ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_step_changes_the_weights_of_its_own_player_only(name):
    g = game(name)
    d, gen = g.model.discriminator_net, g.model.generator_net
    for step, mover, other in ((g.step_discriminator, d, gen), (g.step_generator, gen, d)):
        before, still = weights(mover), state(other)
        with torch.inference_mode():  # as in a visitor's turn
            step()
        assert not same(before, weights(mover))
        assert same(still, state(other))


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_both_takes_the_steps_of_the_preset(name):
    g = game(name, discriminator_steps=3, generator_steps=2)
    g.step_both()
    assert (g.d_steps, g.g_steps) == (3, 2)


def test_the_same_seed_plays_the_same_game_and_another_seed_another():
    games = [game(seed=1), game(seed=1), game(seed=2)]
    for g in games:
        advance([g], "both", 3, 1000)
        g.look()
    first, again, other = games
    assert same(weights(first.model), weights(again.model))
    assert np.array_equal(first.frames[-1].fakes, again.frames[-1].fakes)
    assert first.curves == again.curves
    assert not np.array_equal(first.frames[-1].fakes, other.frames[-1].fakes)


def test_the_wall_keeps_its_noise_and_its_history_stays_bounded():
    g = game()
    for _ in range(3 * FRAMES):
        g.step_discriminator()
        g.look()
    assert len(g.frames) <= FRAMES
    steps = [wall.steps[0] for wall in g.frames]
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert steps[-1] == 3 * FRAMES
    # D alone has learned: the same noise gives the same pictures, and other verdicts
    assert np.array_equal(g.frames[0].fakes, g.frames[-1].fakes)
    assert not np.array_equal(g.frames[0].on_fakes, g.frames[-1].on_fakes)


def test_what_is_no_number_any_more_ends_the_game():
    g = game()
    with torch.no_grad():
        next(g.model.discriminator_net.parameters()).fill_(float("nan"))
    assert advance([g], "D", 5, 1000) == 1
    assert "diverged" in g.diverged
    g.look()
    assert len(g.frames) == 1


def test_a_large_pair_and_foreign_data_are_refused_in_a_sentence():
    with pytest.raises(GenlibError, match="3,000,000"):
        Game.fresh("gan", None, "mnist", generator_width=2048)
    with pytest.raises(GenlibError, match="mnist"):
        Game(tiny("gan", height=20), data.load("mnist"))


# -- the meter and the verdicts ----------------------------------------------------------------------------------------


def test_the_meter_is_zero_for_one_picture_and_one_for_real_ones():
    images = data.load("mnist").batch("validation", slice(0, 400))
    real = spread(images[:200])
    assert spread(images[:1].expand(50, -1, -1, -1)) / real == pytest.approx(0, abs=1e-3)
    assert spread(images[200:]) / real == pytest.approx(1, abs=0.05)
    two = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    assert spread(two) == pytest.approx(2)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "all the same"), (0.3, "nearly"), (0.7, "missing"), (1.0, "as different"), (1.4, "noise")],
)
def test_the_meter_has_words(value, words):
    assert words in gan_stage_live.variety_in_words(value)
    assert f"{value:.2f}" in gan_stage_live.meter(value)


def test_a_critics_scores_are_placed_between_those_of_both_crowds():
    critic, judge = tiny("wgan-gp"), tiny("gan")
    real, fake = np.array([10.0, 12.0]), np.array([0.0, 2.0])
    placed = shares(critic, np.array([6.0, 12.0, 0.0, 99.0]), real, fake)
    assert placed == pytest.approx([0.5, 1.0, 0.0, 1.0])
    assert np.array_equal(shares(judge, real, real, fake), real)


# -- cures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "preset"), FAILURES)
def test_every_failing_preset_has_a_cure_that_is_a_possible_config(name, preset):
    kind = get(name)
    config = kind.configure(preset, (1, 28, 28))
    found = cures(kind, config, preset)
    assert found
    for cure in found:
        cured = kind.validate_config({**config.model_dump(), **cure.values})
        assert cured != config
        assert cured.generator_width == config.generator_width


def test_a_preset_that_does_not_fail_needs_no_cure():
    kind = get("gan")
    assert cures(kind, kind.configure("quick", (1, 28, 28)), "quick") == []


def test_pair_and_cure_begin_alike():
    kind = get("gan")
    config = kind.configure("mode-collapse", (1, 28, 28), generator_width=8, discriminator_width=8)
    cure = cures(kind, config, "mode-collapse")[0]
    sick, well = gan_stage_live.games_of(gan_stage.Pair(kind, config, "mnist", "mode-collapse", None, cure), 1)
    assert same(weights(sick.model), weights(well.model))
    assert np.array_equal(sick.frames[0].fakes, well.frames[0].fakes)
    advance([sick, well], "both", 1, 1000)
    assert (sick.g_steps, well.g_steps) == (10, 1)


# -- noise -------------------------------------------------------------------------------------------------------------


def test_the_arc_stays_on_the_shell_and_the_straight_way_does_not():
    a, b = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    b = b * a.norm() / b.norm()
    arc, line = between(a, b), between(a, b, straight=True)
    for way in (arc, line):
        assert torch.allclose(way[0], a, atol=1e-5)
        assert torch.allclose(way[-1], b, atol=1e-5)
    assert torch.allclose(arc.norm(dim=1), a.norm().expand(9), rtol=1e-4)
    steps = torch.nn.functional.cosine_similarity(arc[1:], arc[:-1])
    assert torch.allclose(steps, steps[:1].expand(8), atol=1e-4)
    assert line[4].norm() < 0.9 * a.norm()
    assert torch.allclose(between(a, a), a.expand(9, -1))


def test_arithmetic_of_equal_terms_changes_nothing():
    a, c = torch.randn(2, 30, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(combine(a, a, c), c.expand(9, -1), atol=1e-5)
    assert torch.allclose(torch.nn.functional.cosine_similarity(combine(a, c, a)[-1], 2 * a - c, 0), torch.tensor(1.0))


# -- be the discriminator ----------------------------------------------------------------------------------------------


def test_the_score_counts_right_answers_and_no_answer_is_not_right():
    truth = np.array([True, False, True, False])
    assert score(truth, [True, False, True, False]) == 4
    assert score(truth, [False, True, False, True]) == 0
    assert score(truth, [True, None, None, True]) == 1
    assert score(truth, [True]) == 1
    assert score(truth, []) == 0


@pytest.mark.parametrize("name", ["gan", "wgan-gp"])
def test_a_round_is_half_real_fair_and_without_a_mark_on_either_kind(name):
    model, dataset = tiny(name).eval(), data.load("mnist")
    one, again, other = (make_round(model, dataset, seed) for seed in (3, 3, 4))
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
    assert one.real.sum() == PICTURES // 2
    test = {image.numpy().tobytes() for image in dataset.images("test")}
    for image, real in zip((one.images * 255).round().byte(), one.real, strict=True):
        assert (image.numpy().tobytes() in test) == real
    # every picture lies on the grey levels of a file
    assert torch.equal((one.images * 255).round() / 255, one.images)
    assert one.judge_score == (one.judge == one.real).sum()
    first = np.mean([make_round(model, dataset, seed).real[0] for seed in range(20)])
    assert 0.2 < first < 0.8


def test_answers_after_the_limit_do_not_count():
    truth = np.array([True, False] * 6)
    quiz = Round(torch.zeros(12, 1, 4, 4), truth, np.zeros(12), np.zeros(12, bool))
    play = gan_stage_quiz.Play("", "gan-mnist", quiz, began=100.0)
    play.answer(True, 101.0)
    play.answer(True, 102.0)
    assert (play.score, play.took, play.running) == (1, 2.0, True)
    play.answer(True, 100.0 + gan_stage_quiz.LIMIT + 1)
    assert (play.score, play.over, len(play.answers)) == (1, True, 2)
    play.answer(True, 103.0)
    assert len(play.answers) == 2


# -- the page ----------------------------------------------------------------------------------------------------------


def errors(app):
    return [error.value for error in app.error]


def code_of(app):
    return next(block.value for block in app.code if "import" in block.value)


@pytest.fixture
def tiny_fields(monkeypatch):
    """Small networks in every preset of `gan`."""
    kind = catalogue.get("gan")
    configure = kind.configure

    def smaller(preset=None, shape=None, **values):
        return configure(preset, shape, **{**SMALL, **values})

    monkeypatch.setattr(kind, "configure", smaller)


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "gan", "preset": "quick"},
        {"kind": "gan", "preset": "mode-collapse"},
        {"start": "Checkpoint", "model": "gan-mnist"},
        {"view": "Noise", "model": "gan-mnist"},
        {"view": "Noise", "way": "Arithmetic", "model": "wgan-gp-mnist", "a": "3", "b": "4", "c": "5"},
        {"view": "Be D", "model": "dcgan-bn-mnist", "seed": "5"},
    ],
)
def test_every_view_opens_and_gives_code_that_runs(open_page, request, query):
    if "preset" in query:
        request.getfixturevalue("tiny_fields")
    app = open_page("gan_stage", **query)
    assert not app.exception
    assert not errors(app)
    scope: dict = {}
    exec(code_of(app), scope)  # our own page's text
    if "quiz" in scope:
        assert scope["quiz"].images.shape == (PICTURES, 1, 28, 28)
    elif "images" in scope:
        assert scope["images"].shape == (9, 1, 28, 28)
    else:
        assert scope["game"].d_steps > 0
        assert ("cured" in scope) == (query.get("preset") == "mode-collapse")


def stage_of(app):
    return app.session_state[gan_stage_live.KEY]()


def test_the_buttons_step_the_players_and_again_begins_anew(open_page, tiny_fields):
    app = open_page("gan_stage", kind="gan", preset="quick")
    for key, steps in (("gan-D", (1, 0)), ("gan-G", (1, 1)), ("gan-both", (2, 2))):
        app.button(key=key).click().run()
        game = stage_of(app).games[0]
        assert (game.d_steps, game.g_steps) == steps
        assert game.frames[-1].steps == steps
    app.button(key="gan-again").click().run()
    game = stage_of(app).games[0]
    assert (game.d_steps, game.g_steps, len(game.frames)) == (0, 0, 1)
    assert not app.exception
    assert not errors(app)


def test_a_critics_stage_speaks_of_a_critic(open_page):
    app = open_page("gan_stage", start="Checkpoint", model="wgan-gp-mnist")
    app.button(key="gan-D").click().run()
    assert not errors(app)
    assert app.button(key="gan-D").label == "Step C"
    assert stage_of(app).games[0].d_steps == 1


def test_play_goes_on_turn_by_turn_until_it_is_stopped(open_page, tiny_fields):
    app = open_page("gan_stage", kind="gan", preset="quick")
    app.button(key="gan-play").click().run()
    assert app.button(key="gan-D").disabled
    steps = stage_of(app).games[0].steps
    assert steps > 0
    app.run()
    assert stage_of(app).games[0].steps > steps
    app.button(key="gan-stop").click().run()
    steps = stage_of(app).games[0].steps
    app.run()
    assert stage_of(app).games[0].steps == steps
    assert not app.button(key="gan-D").disabled


def test_the_stage_waits_in_other_views_and_goes_when_the_page_is_left(open_page, tiny_fields):
    app = open_page("gan_stage", kind="gan", preset="quick")
    app.button(key="gan-D").click().run()
    app.segmented_control(key="view").set_value("Noise").run()
    app.segmented_control(key="view").set_value("Stage").run()
    assert stage_of(app).games[0].d_steps == 1
    model = weakref.ref(stage_of(app).games[0].model)
    app.switch_page("pages/glimpses.py")
    app.run()
    gc.collect()
    assert stage_of(app) is None
    assert model() is None


def test_another_choice_takes_the_place_of_the_first_stage(open_page, tiny_fields):
    app = open_page("gan_stage", kind="gan", preset="quick")
    model = weakref.ref(stage_of(app).games[0].model)
    app.number_input(key="seed").set_value(7).run()
    gc.collect()
    assert model() is None
    assert stage_of(app).seed == 7


def test_a_round_is_played_and_its_score_kept_for_its_model(open_page):
    app = open_page("gan_stage", view="Be D", model="gan-mnist", seed="2")
    app.button(key="gan-quiz-start").click().run()
    truth = app.session_state[gan_stage_quiz.KEY].round.real
    for i, real in enumerate(truth):
        right = bool(real) if i else not real  # the first answer is wrong
        app.button(key="gan-quiz-left" if right else "gan-quiz-right").click().run()
    assert not app.exception
    result = app.session_state[gan_stage_quiz.SCORES]["gan-mnist"]
    assert [one.right for one in result] == [PICTURES - 1]
    assert any(f"You: {PICTURES - 1} of {PICTURES}" in block.value for block in app.markdown)
    app.button(key="gan-quiz-next").click().run()
    assert app.session_state["seed"] == 3
    assert app.button(key="gan-quiz-start")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"model": "../../etc/passwd"}, "passwd"),
        ({"model": "pixelcnn-mnist"}, "pixelcnn-mnist"),
        ({"view": "Noise", "model": "nobody"}, "nobody"),
        ({"view": "Noise", "way": "Arithmetic", "a": "18"}, "18"),
        ({"view": "Sing"}, "Sing"),
        ({"view": "Noise", "way": "Sideways"}, "Sideways"),
        ({"seed": "-1"}, "-1"),
        ({"kind": "vae"}, "vae"),
        ({"preset": "nonsense"}, "nonsense"),
        ({"count": "7x"}, "7x"),
    ],
)
def test_a_wrong_link_is_one_sentence(open_page, tiny_fields, query, named):
    app = open_page("gan_stage", **{"kind": "gan", **query})
    assert not app.exception
    sentences = errors(app)
    assert len(sentences) == 1
    assert named in sentences[0]
    assert "Traceback" not in sentences[0]
