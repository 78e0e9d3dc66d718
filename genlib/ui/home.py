"""The home page's parts: walls of samples and doors."""

from functools import cache

import streamlit as st

from genlib.errors import GenlibError
from genlib.training import files
from genlib.training.run import shipped_folder
from genlib.training.variants import without_variants
from genlib.ui import links, pick_draw, wall_grid, walls
from genlib.ui.components.doors import Door, doors
from genlib.ui.wall_grid import Shown

WALL = walls.Layout(n=30, columns=6)
ACROSS = 4  # walls beside each other

NOTICE = """
* **GAN**: crisp strokes, but look for pictures that are nearly alike and for strokes that belong to no digit.
* **VAE**: every picture comes from two numbers. Smooth, blurred where the plane passes from one digit to the next.
* **DRAW**: painted in steps, each adding to a canvas: softer edges, whole digits.
* **PixelCNN**: pixel after pixel. Strokes are perfect nearby; sometimes the whole is no digit, because nothing plans it.
"""
ATTEMPT = """
* Press **Draw fresh samples** a few times. Which family repeats itself? Which never makes a broken digit?
* Look at the drawing times under the walls: who is fast, and why? *Compare* measures it.
* Open a door below: each page shows one idea that you can move with your hand.
"""
MATHS = r"""
All four learn a distribution $p_\theta(x)$ over images from examples; they differ in what they can compute.

| family | a sample | the likelihood $p_\theta(x)$ | a code for an image |
|---|---|---|---|
| adversarial | $x = G(z),\ z \sim \mathcal N(0, I)$ | none | none |
| variational | $z \sim \mathcal N(0, I),\ x \sim p_\theta(x \mid z)$ | a lower bound (ELBO) | $q_\phi(z \mid x)$ |
| autoregressive | $x_i \sim p_\theta(x_i \mid x_{<i})$, pixel by pixel | exact: $\prod_i p_\theta(x_i \mid x_{<i})$ | none |
"""


DOORS = (
    Door("train", "🏋️ Train", "Start a run and watch the losses and the samples move."),
    Door("latent_space", "🗺️ Latent space", "Wander through a VAE's plane; encode your own digit."),
    Door("completion", "🧩 Completion", "Hide part of a digit and let a PixelCNN finish it."),
    Door("pixel_by_pixel", "🔬 Pixel by pixel", "See what the model predicts before each value it draws."),
    Door("receptive_field", "🔭 Receptive field", "How far back each architecture looks; its blind spot."),
    Door("glimpses", "👁️ Glimpses", "Follow DRAW's attention as it reads and writes."),
    Door("one_shot", "✍️ One shot", "Show a new character once; it is written in twenty hands."),
    Door("gan_stage", "🎭 GAN stage", "Step forger and expert by hand; then be the expert."),
    Door("compression", "🗜️ Compression", "A model as a codec: real files, beside JPEG and PNG."),
    Door("compare", "⚖️ Compare", "All models side by side, same seed, honest numbers."),
)


def seed_control() -> int:
    """The seed of the walls, in the URL, with a button for the next one."""
    links.check_number("seed", 0, pick_draw.MAX_SEED, "The seed")
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.button("🎲 Draw fresh samples", type="primary", on_click=pick_draw.next_seed)
    return int(row.number_input("Seed", 0, pick_draw.MAX_SEED, 1, key="seed", bind="query-params", width=160))


def choose_data() -> str:
    """The data set whose models are shown; a choice once checkpoints of several ship."""
    kinds = list(dict.fromkeys(_facts(name)[1] for name in _names()))
    kinds.sort(key=lambda data: (data != "mnist", data))
    if not kinds:
        raise GenlibError(
            f"No checkpoints lie in {shipped_folder()}: train a model on the Train page, or restore the folder."
        )
    links.check_choice("data", kinds, "The data set")
    if len(kinds) == 1:
        return kinds[0]
    return st.segmented_control("Trained on", kinds, default=kinds[0], required=True, key="data", bind="query-params")


def names_of(data: str) -> list[str]:
    """The shipped checkpoints of a data set that have a wall."""
    return without_variants({name: _facts(name) for name in _names() if _facts(name)[1] == data})


def _names() -> list[str]:
    return sorted(path.stem for path in shipped_folder().glob("*.safetensors"))


@cache
def _facts(name: str) -> tuple[str, str]:
    """A shipped checkpoint's model and data set, as its card says; one without a readable card is shown with MNIST's."""
    try:
        card = files.read_json(shipped_folder() / f"{name}.json")
        return str(card["model"]), str(card["data"])
    except (GenlibError, KeyError):
        return name, "mnist"


class Walls:
    """What stands on the page for each checkpoint; ``fresh``: whose wall is of the seed already."""

    def __init__(self, shown: dict[str, Shown], fresh: set[str]) -> None:
        self.shown, self.fresh = shown, fresh
        self._grid = wall_grid.Grid(ACROSS, "home")

    def show(self, *, more: bool = False) -> None:
        self._grid.show(list(self.shown.values()), more=more)


def kept_walls(names: list[str], seed: int) -> Walls:
    """The wall of each checkpoint, if it is drawn already, else the visitor's last one or the kept samples."""
    fresh = set()
    for name in names:
        wall = walls.kept(name, seed, WALL)
        if wall is not None:
            _last()[name] = _words(name, wall)
            fresh.add(name)
    on_page = Walls({name: _last().get(name) or _sample(name) for name in names}, fresh)
    on_page.show()
    return on_page


def _sample(name: str) -> Shown:
    """What can be shown of a model before anything is drawn."""
    file = shipped_folder() / f"{name}.png"
    sheet = file.read_bytes() if file.is_file() else None
    return Shown(name, sheet, f"samples of {name}", "samples kept with the checkpoint; fresh ones are on their way")


def _words(name: str, wall: walls.Wall) -> Shown:
    return Shown(name, wall.picture, f"{WALL.n} samples of {wall.title}", f"{WALL.n} pictures in {wall.seconds:.2f} s")


def _last() -> dict[str, Shown]:
    """This visitor's walls."""
    return st.session_state.setdefault("home-walls", {})


def fresh_walls(on_page: Walls, seed: int) -> None:
    """Draw new samples of each model, the quick ones first, and put them in place as they are ready.

    A checkpoint that cannot be read says so in its place. The next seed's walls are drawn once nobody waits.
    """
    names = list(on_page.shown)
    missing = walls.quickest_first([name for name in names if name not in on_page.fresh])
    for name in missing:
        try:
            shown = _words(name, walls.draw(name, seed, WALL))
            _last()[name] = shown
        except GenlibError as error:
            shown = Shown(name, error=str(error))
        on_page.shown[name] = shown
        on_page.show(more=name != missing[-1])
    walls.ahead(names, seed + 1, WALL)


def show_doors() -> None:
    """A card for each page."""
    chosen = doors(DOORS, key="home-doors")
    if chosen:
        st.switch_page(f"pages/{chosen.path}.py")


def code(names: list[str], seed: int) -> str:
    """The lines that draw the walls."""
    return f"import genlib\n\nfor name in {names!r}:\n    images = genlib.load(name).sample({WALL.n}, seed={seed})  # [{WALL.n}, 1, 28, 28] in [0, 1]"
