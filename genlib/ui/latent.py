"""The Latent space page's settings and what it knows about a model's plane.

Codes of two numbers are a plane; of more, the page shows a plane through their space, and so it does for the noise of models
without an encoder (genlib/figures/latent_flat.py). What it shows is in `genlib.ui.latent_view`, `latent_encode`,
`latent_many` and `latent_side`. All that is costly is computed once per
checkpoint for all visitors: the atlas that the browser decodes from, and the codes of the test images. The latter take
seconds, so the page opens with the first thousand and fetches the others while it is looked at.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch

from genlib.data import datasets, few
from genlib.errors import GenlibError
from genlib.figures import latent as figures
from genlib.figures.images import png
from genlib.figures.latent_flat import CORNERS, Flat, principal_plane, through_three, whole_plane
from genlib.models import abilities
from genlib.models.variational import active
from genlib.training import checkpoint
from genlib.ui import links, models, pick_draw, pick_image
from genlib.ui.components import atlas_sheet
from genlib.ui.components.wire import digest
from genlib.ui.recent import Recent

# What stands on the controls, and in the address
PLANE, ENCODE, GRID, PLANES = VIEWS = ("Plane", "Encode", "Grid", "Planes")
TRAVERSALS, INTERPOLATE = "Traversals", "Interpolate"
CODES, NOISE = "latent code", "adversaries"  # the abilities: codes of images, and noise that is decoded
VIEWS_OF_MANY = (PLANE, TRAVERSALS, PLANES)  # of a code of more than two numbers
VIEWS_OF_NOISE = (PLANE, INTERPOLATE, PLANES)
ALL_VIEWS = (*VIEWS, TRAVERSALS, INTERPOLATE)
TEST_IMAGE, DRAWING = SOURCES = ("Test image", "Drawing")
BY_THE_PRIOR, EVEN = SPACINGS = ("By the prior", "Even")
LEAST_GRID, MOST_GRID = 3, 30
FETCHING = "latent-fetching"
CHUNK = 1000  # test images encoded at a time, half a second's work; the first of them set the plane's extent
STRIDE = 10  # between neighbours of a chunk, so that each is spread over the whole test set
COLOURS = 10  # classes that the pad can tell apart

Point = tuple[float, float]


@dataclass(frozen=True)
class Settings:
    """What the controls say. ``model`` is the loaded ``checkpoint``, ``version`` tells two files of that name apart."""

    checkpoint: str
    version: float
    data: str
    model: Any  # a `Model` with the ability
    view: str
    source: str
    index: int
    n: int
    spacing: str
    seed: int = 0  # of the noise that a plane goes through

    @property
    def encodes(self) -> bool:
        """Whether images have codes; else there is only noise."""
        return CODES in abilities(self.model)

    @property
    def numbers(self) -> int:
        """Of how many numbers a code is."""
        return int(self.model.config.latent)

    @property
    def is_plane(self) -> bool:
        """Whether the codes of images are points of a plane."""
        return self.encodes and self.numbers == 2

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's images."""
        return self.model.config.shape

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty if there are none, or too many to tell apart by colour."""
        names = datasets.describe(self.data).classes
        return names if len(names) <= COLOURS else ()

    def key(self, *parts: object) -> str:
        """A name for something that is computed from this checkpoint."""
        return digest(self.checkpoint, self.version, *parts)


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of N test images, of ``total`` that there will be.

    ``mean`` and ``log_var`` of q(z | x) are float32 [N, latent]; ``labels`` and ``index``, their places in the test set,
    int [N].
    """

    mean: np.ndarray
    log_var: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    total: int

    @property
    def complete(self) -> bool:
        return len(self.mean) == self.total

    @property
    def kl_per_latent(self) -> np.ndarray:
        """KL(q(z_i | x) || N(0, 1)) of each number of the code, averaged over the images, [latent] nats."""
        return 0.5 * (self.mean**2 + np.exp(self.log_var) - 1 - self.log_var).mean(0)

    @property
    def kl(self) -> float:
        """KL(q(z | x) || N(0, I)) averaged over the images, nats."""
        return float(self.kl_per_latent.sum())

    @property
    def active(self) -> np.ndarray:
        """Which numbers of the code say something of the image, bool [latent]."""
        return active(torch.from_numpy(self.mean)).numpy()

    def drawn(self) -> np.ndarray:
        """One draw of q(z | x) for each image, [N, latent]; always the same ones."""
        noise = np.random.default_rng(0).standard_normal(self.mean.shape, np.float32)
        return self.mean + np.exp(0.5 * self.log_var) * noise


@dataclass(frozen=True, eq=False)
class Plane:
    """What the pad is made of; see `figures.Atlas`. ``flat``: where in the space of codes it lies; ``centres``: each class's
    median on it; ``corners``: the draws of noise that it goes through."""

    flat: Flat
    sheet: bytes
    side: int
    extent: float
    error: float
    worst: float
    centres: list[Point | None]
    corners: tuple[Point, ...] = ()

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Codes [N, latent] -> their points on the plane [N, 2]."""
        return self.flat.project(torch.from_numpy(codes)).numpy()


_codes: Recent[Codes] = Recent(16)  # all of these are shared by all visitors
_planes: Recent[Plane] = Recent(16)
_costs: Recent[np.ndarray] = Recent(16)


# -- settings ----------------------------------------------------------------------------------------------------------


def settings() -> Settings:
    """The sidebar. Values that a link got wrong are named in a sentence, and the defaults are taken."""
    links.check_choice("view", ALL_VIEWS, "The view")
    links.check_choice("source", SOURCES, "The source")
    links.check_choice("spacing", SPACINGS, "The spacing")
    links.check_number("n", LEAST_GRID, MOST_GRID, "The grid's side")
    links.check_number("seed", 0, pick_draw.MAX_SEED, "The seed")
    source, index, n, spacing, seed = TEST_IMAGE, 0, 20, BY_THE_PRIOR, 0
    with st.sidebar:
        name = models.choose(CODES, NOISE, later=lambda name: not _is_plane(name))
        data = models.available()[name][1]
        model = models.get(name)
        view = _choose_view(model)
        if view == ENCODE:
            source = links.segments("Picture", SOURCES, "source")
        if (view == ENCODE and source == TEST_IMAGE) or view == TRAVERSALS:
            index = _choose_image(data)
        if view in (PLANE, INTERPOLATE) and CODES not in abilities(model):
            seed = pick_draw.choose_seed("Which noise is drawn.", "New noise")
        if view == GRID:
            spacing = links.segments("Spacing", SPACINGS, "spacing")
            n = st.slider(
                "Pictures a side", LEAST_GRID, MOST_GRID, 20, key="n", bind="query-params", persist_state="page"
            )
    version = models.version(name)
    return Settings(name, version, data, model, view, source, index, int(n), spacing, seed)


def prepare() -> None:
    """Compute what the page begins with: the codes and the plane of the first model, seconds that the first visitor need not wait."""
    names = models.offered(CODES, NOISE, later=lambda name: not _is_plane(name))
    if names:
        name = names[0]
        data = models.available()[name][1]
        s = Settings(name, models.version(name), data, models.get(name), PLANE, TEST_IMAGE, 0, 20, BY_THE_PRIOR)
        plane(s, codes_if_here(s))


def _is_plane(name: str) -> bool:
    """Whether a checkpoint's code has two numbers: the page opens with one that can be shown whole."""
    return checkpoint.read_header(checkpoint.find_named(name)).config.get("latent") == 2


def _choose_view(model: Any) -> str:
    """The views that this model has; one that only other kinds of models have gives way to the first."""
    numbers = model.config.latent
    options = VIEWS_OF_NOISE if CODES not in abilities(model) else VIEWS if numbers == 2 else VIEWS_OF_MANY
    asked = st.session_state.get("view", st.query_params.get("view"))
    if asked is not None and asked not in options:
        st.session_state["view"] = options[0]
    return links.pills("View", options, "view")


def _choose_image(data: str) -> int:
    """A test image, where there are any."""
    with links.forgiving():
        return pick_image.choose_index(data, "latent")
    return 0


# -- the plane and its codes -------------------------------------------------------------------------------------------


def codes_if_here(s: Settings) -> Codes | None:
    """The codes there are so far, at least the first chunk.

    Without the data set, or with one of another shape, the page says so and goes on without them. A model without an encoder
    has none.
    """
    if not s.encodes:
        return None
    with links.forgiving():
        dataset = few.load_to_look_at(s.data)
        if dataset.info.shape != s.shape:
            raise GenlibError(
                f"{s.checkpoint} works on images of {s.shape}, but {s.data} has {dataset.info.shape}: "
                "its test images cannot be encoded."
            )
        return _codes.get(s.key()) or more_codes(s)
    return None


def more_codes(s: Settings) -> Codes:
    """Encode one chunk more."""
    dataset = few.load_to_look_at(s.data)
    size = dataset.size("test")
    order = np.concatenate([np.arange(start, size, STRIDE) for start in range(min(STRIDE, size))])
    old = _codes.get(s.key())
    done = len(old.mean) if old else 0
    rows = order[done : done + CHUNK]
    with models.computing():
        batch = dataset.batch("test", torch.from_numpy(rows)).to(s.model.device)
        mean, log_var = (value.float().cpu().numpy() for value in s.model.encode(batch))
    if not (np.isfinite(mean).all() and np.isfinite(log_var).all()):
        raise GenlibError(
            f"The encoder of {s.checkpoint} gives no finite codes, so its training has diverged: choose another model."
        )
    new = [mean, log_var, dataset.labels("test").numpy()[rows], rows]
    if old is not None:
        new = [np.concatenate(pair) for pair in zip((old.mean, old.log_var, old.labels, old.index), new, strict=True)]
    found = Codes(new[0], new[1], new[2], new[3], size)
    _codes.put(s.key(), found)
    return found


def plane(s: Settings, found: Codes | None) -> Plane:
    """The plane that holds the first chunk of codes, or that goes through three draws of noise, and its atlas."""
    key = s.key(found is None, s.seed)
    made = _planes.get(key)
    if made is None:
        first = found.mean[:CHUNK] if found else np.zeros((0, s.numbers), np.float32)
        flat = _flat(s, torch.from_numpy(first))
        points = flat.project(torch.from_numpy(first)).numpy()
        with models.computing():
            atlas = figures.make_atlas(
                lambda xy: s.model.decode(flat.lift(xy)), figures.extent_of(points), s.model.device
            )
        centres = figures.class_centres(points, found.labels[:CHUNK], len(s.classes)) if found else []
        corners = CORNERS if flat.norm else ()
        sheet = png(atlas_sheet(atlas.tiles, atlas.side))  # once: the pad takes it at every click
        made = Plane(flat, sheet, atlas.side, atlas.extent, atlas.error, atlas.worst, centres or list(corners), corners)
        _planes.put(key, made)
    return made


def _flat(s: Settings, codes: torch.Tensor) -> Flat:
    """Where the plane lies in the space of codes."""
    if s.numbers == 2:
        return whole_plane()
    if not s.encodes:
        return through_three(noise(s))
    if len(codes) < 2:  # without the data set: the plane of the first two numbers
        return Flat(torch.zeros(s.numbers), torch.eye(2, s.numbers))
    return principal_plane(codes)


def noise(s: Settings) -> torch.Tensor:
    """The three draws of noise of this seed, [3, latent]."""
    with models.computing():
        return s.model.noise(3, s.model.generator(s.seed))


def reference(s: Settings) -> np.ndarray | None:
    """-ELBO of a thousand test images, nats, in rising order; None as long as it has not been measured."""
    return _costs.get(s.key())


def _measure(s: Settings, found: Codes) -> None:
    batch = few.load_to_look_at(s.data).batch("test", torch.from_numpy(found.index[:CHUNK]))
    with models.computing():
        parts = batch.to(s.model.device).split(250)
        costs = torch.cat([-s.model.elbo(part) for part in parts]).cpu().numpy()
    _costs.put(s.key(), np.sort(costs))


def _missing(s: Settings, found: Codes) -> bool:
    measured = s.model.no_likelihood is None and "bounded likelihood" in abilities(s.model)
    return not found.complete or (measured and reference(s) is None)


def fetch_more(s: Settings, found: Codes | None) -> None:
    """Compute what is missing while the visitor looks at the rest; then show the page anew."""
    missing = found is not None and _missing(s, found)
    if missing != fetching():
        st.session_state[FETCHING] = missing
        st.rerun()
    if missing:
        _fetch(s)


def fetching() -> bool:
    """Whether the page shows, in a fragment of its own, how far `fetch_more` has come."""
    return bool(st.session_state.get(FETCHING))


@st.fragment(run_every=0.3)
def _fetch(s: Settings) -> None:
    """One chunk at each turn, so that others get theirs between."""
    found = _codes.get(s.key()) or more_codes(s)
    if not found.complete:
        text = f"Encoding the test images: {len(found.mean):,} of {found.total:,}"
        st.progress(len(found.mean) / found.total, text)
        found = more_codes(s)
    elif _missing(s, found):
        _measure(s, found)
    if not _missing(s, found):
        st.rerun()
