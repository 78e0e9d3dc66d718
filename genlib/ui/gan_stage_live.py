"""The stage itself: buttons for single steps, play in slices, the wall with D's verdicts, curves, histograms, the meter.

Everything that moves is one fragment. While steps are left to do it comes back by itself and does a slice of them, so that
other visitors get their turns between; otherwise it rests.
"""

import html
import math
import time
import weakref
from typing import Any

import streamlit as st
import torch

from genlib.figures import gan_stage as figures
from genlib.ui import frame, links, models
from genlib.ui.components import Panel, player
from genlib.ui.gan_stage import Pair, Settings
from genlib.ui.gan_stage_game import REAL, Exhibit, Game, advance

KEY = "gan-stage"
AGAIN = "again"  # the move that begins anew
SLICE = 0.2  # seconds of steps in one turn, of all games together
PACES = (
    0.6,
    1.5,
    4.0,
    8.0,
)  # seconds between the beginnings of two turns: the first that leaves others a third of the time
COUNTS = {"1x": 1, "10x": 10, "100x": 100}  # how often a click makes its step
COLUMNS = 5  # of the wall
TOP = 1.25  # right end of the meter
CURVES, VERDICTS = 225, 150  # heights of the plots, pixels

INK = {"light": "#17202B", "dark": "#EDF1F6"}

STYLE = """<style>
.gan-meter {position: relative; height: 14px; border-radius: 7px; background: rgba(128, 140, 152, .25); margin: .25rem 0 .1rem 0;}
.gan-meter div {height: 100%; border-radius: 7px;}
.gan-meter i {position: absolute; top: -4px; height: 22px; width: 3px; background: currentColor;}
.gan-words {font-size: 1rem; line-height: 1.3;}
.gan-words small {opacity: .75; font-size: .9rem;}
</style>"""


class Stage:
    """A session's games, and what is left to do with them. ``left`` may be endless.

    Of the networks in training nothing may stay when the page is left. So the session knows its stage by a weak reference,
    and what keeps it alive is the page's fragment, which Streamlit forgets as soon as another page has been shown.
    """

    def __init__(self, pair: Pair, seed: int) -> None:
        self.pair, self.seed = pair, seed
        self.key = pair.key(seed)
        self.move, self.left = "both", 0.0
        self._pace = PACES[0]
        self.runs = 0  # how often it began anew, by which the player tells runs apart
        self.games = games_of(pair, seed)

    @property
    def playing(self) -> bool:
        return self.left > 0

    @property
    def period(self) -> float | None:
        """Seconds between two turns; None while nothing is left to do."""
        return self._pace if self.playing else None

    def took(self, seconds: float) -> None:
        """A turn, with all that is shown after it, took so long. The pace only slows down, so that it does not sway."""
        needed = next((pace for pace in PACES if pace >= 1.5 * seconds), PACES[-1])
        self._pace = max(self._pace, needed)

    @property
    def over(self) -> bool:
        """Whether a game has diverged."""
        return any(game.diverged for game in self.games)

    def ask(self, move: str, count: float) -> None:
        """So many moves, beginning with the next turn."""
        self.move, self.left, self._pace = move, count, PACES[0]

    def turn(self) -> None:
        """A slice of what is left."""
        if self.move == AGAIN:
            self.restart()
            return
        with models.computing():
            done = advance(self.games, self.move, int(min(self.left, 10_000)), SLICE)
            for game in self.games:
                game.look()
        self.left = 0.0 if self.over else self.left - done

    def restart(self) -> None:
        """The same pair from its first weights."""
        self.left, self.runs = 0.0, self.runs + 1
        self.key = ""  # should it fail, the next run of the page sets another stage
        self.games.clear()  # before the new ones need their memory
        self.games = games_of(self.pair, self.seed)
        self.key = self.pair.key(self.seed)


def games_of(pair: Pair, seed: int) -> list[Game]:
    """The pair's game, and that of its cure at its side: the same seed, data and, where it can be, the same weights."""
    configs = [pair.config]
    if pair.beside:
        configs.append(pair.kind.validate_config({**pair.config.model_dump(), **pair.beside.values}))
    with models.computing(), torch.inference_mode(False):
        return [Game.of(pair.kind, config, pair.data, seed, pair.file) for config in configs]


def current() -> Stage | None:
    """This session's stage, as long as the page is open."""
    reference = st.session_state.get(KEY)
    return reference() if reference is not None else None


def stage(s: Settings) -> Stage:
    """The session's stage if it is that of the settings; else a new one, in whose favour the old one goes."""
    assert s.pair is not None
    found = current()
    if found is None or found.key != s.pair.key(s.seed):
        if found is not None:
            found.games.clear()
        found = Stage(s.pair, s.seed)
        st.session_state[KEY] = weakref.ref(found)
    return found


def keep() -> None:
    """For the page's other views: the stage waits for the visitor to come back."""
    found = current()
    if found is not None:
        found.left = 0.0
        _hold(found)


@st.fragment
def _hold(found: Stage) -> None:
    """Shows nothing; as long as the page has this fragment, the stage lives."""


# Callbacks find the stage by its key: Streamlit keeps their arguments when the page is left.


def _ask(move: str, count: float) -> None:
    found = current()
    if found is not None:
        found.ask(move, count)


def _stop() -> None:
    _ask("both", 0.0)


def _restart() -> None:
    found = current()
    if found is not None:
        found.ask(AGAIN, 1.0)


def show(s: Settings) -> None:
    """The stage, live while steps are left to do."""
    links.check_choice("count", list(COUNTS), "The number of steps")
    with st.spinner("Setting the stage"):
        found = stage(s)
    preset = found.pair.kind.presets.get(found.pair.preset)
    if preset and preset.failure:
        st.warning(preset.notice, icon="⚠️")
    st.html(STYLE)
    st.fragment(_live, run_every=found.period)(found, found.period)


def _live(found: Stage, every: float | None) -> None:
    with frame.guard():
        began = time.monotonic()
        place = st.container()
        if found.playing:
            found.turn()
        if found.period != every:
            st.rerun()  # the fragment begins or ends to come back by itself, or comes back less often
        with place:
            _buttons(found)
        _games(found)
        found.took(time.monotonic() - began)


# -- the row of buttons ------------------------------------------------------------------------------------------------


def _buttons(found: Stage) -> None:
    config = found.games[0].model.config
    judge = "C" if found.games[0].model.verdict == "critic score" else "D"
    d, g, both, many, play, again = st.columns([1, 1, 1.15, 1.5, 1.1, 0.5], vertical_alignment="center", gap="small")
    count = many.segmented_control(
        "Steps a click", list(COUNTS), default="1x", required=True, key="count", bind="query-params",
        label_visibility="collapsed", width="stretch",
    )  # fmt: skip
    waits = found.playing or found.over
    for place, label, move, words in (
        (d, f"Step {judge}", "D", f"{judge} sees real and generated pictures and learns to tell them apart. G stands still."),
        (g, "Step G", "G", f"G draws pictures and learns what {judge} would have believed. {judge} stands still."),
        (both, "Step both", "both", f"What the preset takes for one step: {config.discriminator_steps} of {judge}, "
         f"then {config.generator_steps} of G."),
    ):  # fmt: skip
        place.button(
            label, key=f"gan-{move}", on_click=_ask, args=(move, float(COUNTS[count])), disabled=waits, help=words,
            width="stretch", type="primary" if move == "both" else "secondary",
        )  # fmt: skip
    if found.playing:
        play.button("⏸ Stop", key="gan-stop", on_click=_stop, width="stretch")
    else:
        play.button(
            "▶ Play", key="gan-play", on_click=_ask, args=("both", math.inf), disabled=found.over, width="stretch"
        )
    again.button("↺", key="gan-again", on_click=_restart, help="Start again from the first weights", width="stretch")


# -- what can be seen --------------------------------------------------------------------------------------------------


def _games(found: Stage) -> None:
    if len(found.games) == 1:
        left, right = st.columns([3, 2], gap="medium")
        _one(found, 0, "", left, right)
        return
    pair = found.pair
    names = [f"⚠️ {pair.preset}", f"✅ with {pair.beside.name}" if pair.beside else ""]
    for index, column in enumerate(st.columns(2, gap="large")):
        with column:
            st.markdown(f"**{names[index]}**")
        _one(found, index, names[index], column, column)


def _one(found: Stage, index: int, name: str, left: Any, right: Any) -> None:
    """The wall at the left; meter, curves and histograms at the right, or below where both are one column."""
    game = found.games[index]
    dark = st.context.theme.type == "dark"
    with left:
        _wall(found, index, dark)
        if game.diverged:
            st.error(f"{game.diverged} Press ↺ to start again.", icon="💥")
    with right:
        st.html(meter(game.variety))
        ink = INK["dark" if dark else "light"]
        real, fake = _names(game)
        st.plotly_chart(
            figures.curves_figure(game.curves, _terms(game), _rows(game), CURVES, ink),
            key=f"gan-curves-{index}", config={"displayModeBar": False},
            alt=f"Losses {name} over {game.steps} steps: " + _last(game),
        )  # fmt: skip
        st.plotly_chart(
            figures.verdicts_figure(
                game.on_real, game.on_fake, (real, fake), probability=game.model.verdict != "critic score",
                height=VERDICTS, ink=ink,
            ),
            key=f"gan-verdicts-{index}", config={"displayModeBar": False},
            alt=f"Verdicts {name}: mean of {real} {game.on_real.mean():.3g}, of {fake} {game.on_fake.mean():.3g}",
        )  # fmt: skip


def _names(game: Game) -> tuple[str, str]:
    letter = "C" if game.model.verdict == "critic score" else "D"
    return f"{letter}(x), real", f"{letter}(G(z)), generated"


def _wall(found: Stage, index: int, dark: bool) -> None:
    """The player over the kept walls; while steps are made, only the newest one, which is little to send."""
    game = found.games[index]
    walls = game.frames[-1:] if found.playing else game.frames
    player(
        [
            Panel("Generated, always from the same noise", [figures.wall(w.fakes, w.on_fakes, w.share_fakes, COLUMNS, dark=dark) for w in walls]),
            Panel("Real", [figures.wall(game.reals, w.on_reals, w.share_reals, 1, dark=dark) for w in walls]),
        ],
        key=f"gan-wall-{index}",
        captions=[_caption(game, w, len(found.games) > 1) for w in walls],
        follow=True,
        fps=4,
        height=520,
        revision=(found.key, found.runs, found.playing, dark),
        export_name="",  # room for the rest of the bar in half a page
    )  # fmt: skip


def _caption(game: Game, wall: Exhibit, short: bool) -> str:
    d, g = wall.steps
    judge = _names(game)[0][0]
    steps = f"Steps: {judge} {d:,}, G {g:,}"
    if short:
        return steps
    fakes, reals = (int((part >= 0.5).sum()) for part in (wall.share_fakes, wall.share_reals))
    return f"{steps} · taken for real: {fakes} of {len(wall.fakes)}, of the real ones {reals} of {REAL}"


def _terms(game: Game) -> dict[str, str]:
    short = {"jsd": "JSD, estimated (nats)", "earth_movers_distance": "EMD, estimated", "slope": "slope of C"}
    return {term: short.get(term, _loss_name(term)) for term in game.model.terms}


def _loss_name(term: str) -> str:
    return {"discriminator_loss": "loss of D", "critic_loss": "loss of C", "generator_loss": "loss of G"}.get(
        term, term.replace("_", " ")
    )


def _rows(game: Game) -> list[list[str]]:
    """Which terms share a plot: the losses, and what they say of the distance."""
    losses = [term for term in game.model.terms if term.endswith("_loss")]
    return [losses, [term for term in ("jsd", "earth_movers_distance", "slope") if term in game.model.terms]]


def _last(game: Game) -> str:
    names = _terms(game)
    return "; ".join(f"{names[term]} {values[-1]:.3g}" for term, (_, values) in game.curves.items() if values)


def variety_in_words(value: float) -> str:
    """What the meter says."""
    for below, words in (
        (0.1, "all the same picture"),
        (0.5, "nearly the same, whatever the noise"),
        (0.8, "too alike: kinds are missing"),
        (1.1, "as different as real ones"),
    ):
        if value < below:
            return words
    return "more different than real ones: noise, not variety"


def meter(value: float) -> str:
    """The mode-collapse meter as HTML: how different the pictures are, real ones being 1."""
    words = variety_in_words(value)
    colour = figures.FAKE if value < 0.8 or value >= 1.1 else figures.REAL
    share = 100 * min(max(value, 0.0), TOP) / TOP
    label = html.escape(f"Variety {value:.2f} of the real pictures' variety: {words}")
    return (
        f'<div class="gan-words" role="img" aria-label="{label}"><b>Variety {value:.2f}</b> · {words} '
        f'<div class="gan-meter"><div style="width:{share:.1f}%;background:{colour}"></div>'
        f'<i style="left:{100 / TOP:.1f}%" title="real pictures"></i></div>'
        "<small>the mark: as different as real pictures</small></div>"
    )
