"""Be the discriminator: twelve pictures against the clock, one after another; then the truth, beside the machine's verdicts."""

import base64
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd
import streamlit as st

from genlib.data import datasets, few
from genlib.figures.images import enlarge, png, to_pixels
from genlib.ui import models, pick_draw
from genlib.ui.components.wire import digest
from genlib.ui.gan_stage import Settings
from genlib.ui.gan_stage_round import PICTURES, Round, make_round, score

KEY, SCORES = "gan-quiz", "gan-quiz-scores"
LIMIT = 60.0  # seconds for a round; later answers do not count
SCALE = 10  # a pixel's side in the picture that is asked about

STYLE = """<style>
.gan-clock {height: 10px; border-radius: 5px; background: rgba(128, 140, 152, .25); overflow: hidden; margin: .2rem 0 .6rem 0;}
.gan-clock div {height: 100%; background: #56B4E9; animation: gan-drain linear forwards;}
@keyframes gan-drain {from {width: 100%;} 75% {background: #56B4E9;} to {width: 0; background: #E69F00;}}
.gan-asked img {height: min(42vh, 420px); image-rendering: pixelated; border-radius: 4px; outline: 1.5px solid rgba(128, 140, 152, .5);}
.gan-asked {text-align: center; margin-bottom: .4rem;}
.gan-answers {display: grid; grid-template-columns: repeat(6, 1fr); gap: .7rem .8rem;}
.gan-answers img {width: 100%; image-rendering: pixelated; border-radius: 4px; display: block;}
.gan-answers .real img {outline: 3px solid #56B4E9;} .gan-answers .fake img {outline: 3px dashed #E69F00;}
.gan-answers p {margin: .3rem 0 0 0; font-size: .92rem; line-height: 1.25;}
</style>"""


@dataclass
class Play:
    """A visitor's round. ``answers``: True for real, in the order of the pictures; ``began``, ``took``: seconds."""

    key: str
    model: str
    round: Round
    began: float = 0.0
    took: float = 0.0
    answers: list[bool] = field(default_factory=list)
    late: bool = False

    @property
    def running(self) -> bool:
        return self.began > 0 and not self.over

    @property
    def over(self) -> bool:
        return self.late or len(self.answers) == PICTURES

    @property
    def score(self) -> int:
        return score(self.round.real, self.answers)

    def answer(self, real: bool, now: float) -> None:
        """An answer at the time ``now``; one that comes after the limit ends the round and does not count."""
        if not self.running:
            return
        if now - self.began > LIMIT:
            self.late, self.took = True, LIMIT
            return
        self.answers.append(real)
        self.took = now - self.began


class Result(NamedTuple):
    """A round that is over."""

    right: int
    judge: int
    seconds: float


def show(s: Settings) -> None:
    """The round of the settings' model and seed: asked, running, or over."""
    key = digest(s.checkpoint, models.version(s.checkpoint), s.seed)
    play = st.session_state.get(KEY)
    if not isinstance(play, Play) or play.key != key:
        with models.computing():
            play = Play(key, s.checkpoint, make_round(s.model, few.load_to_look_at(s.data), s.seed))
        st.session_state[KEY] = play
    st.html(STYLE)
    _show(s, play)


@st.fragment
def _show(s: Settings, play: Play) -> None:
    left, right = st.columns([7, 4], gap="large")
    with left:
        if play.over:
            _answers(s, play)
        elif play.running:
            _ask(play)
        else:
            _begin(s, play)
    with right:
        _table()


def _begin(s: Settings, play: Play) -> None:
    st.markdown(
        f"#### Real or generated?\n{PICTURES} pictures, one after another: half are {datasets.describe(s.data).title} from the test set, half "
        f"come from **{s.checkpoint}**. You have {LIMIT:.0f} seconds. Press **←** for real and **→** for generated, or the buttons."
    )
    st.button(
        "▶ Start the round", key="gan-quiz-start", type="primary", on_click=_start, args=(play,), shortcut="Enter"
    )


def _start(play: Play) -> None:
    play.began = time.monotonic()


def _ask(play: Play) -> None:
    index = len(play.answers)
    gone = time.monotonic() - play.began
    st.markdown(f"**Picture {index + 1} of {PICTURES}**")
    st.html(
        f'<div class="gan-clock" role="img" aria-label="{max(0, LIMIT - gone):.0f} seconds left"><div '
        f'style="animation-duration:{LIMIT:g}s;animation-delay:-{gone:.2f}s"></div></div>'
        f'<div class="gan-asked"><img alt="picture {index + 1}, real or generated?" src="{_source(play.round, index, SCALE)}"></div>'
    )
    real, fake = st.columns(2)
    for column, label, value, arrow in ((real, "Real", True, "Left"), (fake, "Generated", False, "Right")):
        column.button(
            label, key=f"gan-quiz-{arrow.lower()}", on_click=_answer, args=(play, value), shortcut=arrow, width="stretch",
            type="primary",
        )  # fmt: skip


def _answer(play: Play, real: bool) -> None:
    play.answer(real, time.monotonic())
    if play.over:
        result = Result(play.score, play.round.judge_score, play.took)
        st.session_state.setdefault(SCORES, {}).setdefault(play.model, []).append(result)


def _source(asked: Round, index: int, scale: int) -> str:
    pixels = enlarge(to_pixels(asked.images[index]), scale)
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def _answers(s: Settings, play: Play) -> None:
    asked = play.round
    judge = "The critic's" if s.model.verdict == "critic score" else "The machine's"
    late = " Time was up." if play.late else ""
    st.markdown(
        f"#### You: {play.score} of {PICTURES} in {play.took:.1f} s.{late} {judge} eye scored {asked.judge_score}."
    )
    tiles = []
    for i in range(PICTURES):
        real = bool(asked.real[i])
        said = play.answers[i] if i < len(play.answers) else None
        yours = "–" if said is None else f"{'✓' if said == real else '✗'} {_word(said)}"
        machine = f"{'✓' if bool(asked.judge[i]) == real else '✗'} {asked.verdicts[i]:.2f}"
        tiles.append(
            f'<div class="{"real" if real else "fake"}"><img alt="picture {i + 1}, {_word(real)}" src="{_source(asked, i, 4)}">'
            f"<p><b>{_word(real)}</b><br>you: {yours}<br>{'C' if s.model.verdict == 'critic score' else 'D'}: {machine}</p></div>"
        )
    st.html(f'<div class="gan-answers">{"".join(tiles)}</div>')
    st.button("Next round", icon="⏭️", key="gan-quiz-next", type="primary", on_click=_next, shortcut="Enter")
    if st.session_state.pop("gan-quiz-go-on", False):
        st.rerun()  # another seed is another round, and the sidebar shows it


def _next() -> None:
    pick_draw.next_seed()
    st.session_state["gan-quiz-go-on"] = True


def _word(real: bool) -> str:
    return "real" if real else "generated"


def _table() -> None:
    """This visitor's rounds, model by model."""
    scores: dict[str, list[Result]] = st.session_state.get(SCORES, {})
    st.markdown("**Your rounds**")
    if not scores:
        st.caption("Nothing yet. The lower your share of right answers, the better the generator; half is chance.")
        return
    rows = [
        {
            "Model": name,
            "Rounds": len(results),
            "You": f"{sum(r.right for r in results) / len(results) / PICTURES:.0%}",
            "Machine": f"{sum(r.judge for r in results) / len(results) / PICTURES:.0%}",
            "Seconds": f"{sum(r.seconds for r in results) / len(results):.0f}",
        }
        for name, results in scores.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, row_height=38, width="stretch")
    st.caption("Means over your rounds: right answers, the judge's own, and the time. Half is chance: G has won.")
