"""The three points of the Latent space page: the code z that is shown, and the ends a and b of the path.

The pad in the browser keeps them. `Start` is what it begins from; when a link or a button asks for something else, a
new `Start` is made, and otherwise the pad goes on from where the visitor left it.
"""

import re
from dataclasses import dataclass, replace

import streamlit as st

from genlib.errors import GenlibError
from genlib.figures import latent as figures
from genlib.ui import links
from genlib.ui.components.wire import digest
from genlib.ui.latent import Plane, Point, Settings


@dataclass(frozen=True)
class Start:
    """What the pad begins from. ``of``: which plane; another one makes a new start."""

    z: Point
    a: Point
    b: Point
    of: str
    revision: int = 0


def start(s: Settings, p: Plane) -> Start:
    """Go on as before, or begin anew: from a link that this session did not write, or on another plane."""
    state = st.session_state
    begun: Start | None = state.get("latent-start")
    of, link = digest(s.checkpoint, p.extent), _link()
    followed = any(link) and link != state.get("latent-link")
    if begun is not None and begun.of == of and not followed:
        return begun
    old: Start | None = state.get("latent-now") if state.get("latent-moved") else None
    points = {"z": old.z, "a": old.a, "b": old.b} if old else _defaults(p)
    if followed:
        state["latent-link"] = link  # a damaged one is complained about once
        for name, text in zip("zab", link, strict=True):
            if text is not None:
                with links.forgiving():
                    points[name] = read_point(name, text, p.extent)
    inside = {name: _clamped(point, p.extent) for name, point in points.items()}
    state["latent-start"] = Start(**inside, of=of, revision=begun.revision + 1 if begun else 0)
    return state["latent-start"]


def _defaults(p: Plane) -> dict[str, Point]:
    """The prior's mean, and a path between the two classes that lie farthest apart."""
    pair = figures.farthest_pair(p.centres, p.extent)
    ends = [p.centres[k] for k in pair] if pair else [None, None]
    return {"z": (0.0, 0.0), "a": ends[0] or (-p.extent / 2, 0.0), "b": ends[1] or (p.extent / 2, 0.0)}


def move(name: str, point: Point) -> None:
    """For callbacks: put z, a or b somewhere, and leave the others where the visitor has them now."""
    state = st.session_state
    old: Start = state["latent-now"]
    points = {"z": old.z, "a": old.a, "b": old.b, name: point}
    state["latent-start"] = Start(**points, of=old.of, revision=state["latent-start"].revision + 1)
    state["latent-moved"] = True


def keep(begun: Start, z: Point, a: Point, b: Point) -> None:
    """Note where the visitor has the points; once they have been moved, or came from a link, the address has them."""
    state = st.session_state
    state["latent-now"] = moved = replace(begun, z=z, a=a, b=b)
    state["latent-moved"] = state.get("latent-moved", False) or moved != begun or any(_link())
    if state["latent-moved"]:
        for name, point in zip("zab", (z, a, b), strict=True):
            links.put(name, write_point(point))
        state["latent-link"] = _link()


def now(begun: Start) -> Start:
    """Where the points are now, as far as the server knows: where they were let go since the pad began."""
    kept: Start | None = st.session_state.get("latent-now")
    return kept if kept and (kept.of, kept.revision) == (begun.of, begun.revision) else begun


def _link() -> tuple[str | None, str | None, str | None]:
    query = st.query_params
    return query.get("z"), query.get("a"), query.get("b")


def _clamped(point: Point, extent: float) -> Point:
    return min(max(point[0], -extent), extent), min(max(point[1], -extent), extent)


def write_point(point: Point) -> str:
    """(x, y) -> "x,y" with three decimals: finer than a pixel of the screen."""
    # + 0.0 turns -0.0 into 0.0
    return ",".join(f"{round(value, 3) + 0.0:.3f}".rstrip("0").rstrip(".") for value in point)


def read_point(name: str, text: str, extent: float) -> Point:
    """ "x,y" of a link -> (x, y) within the plane; anything else is a `GenlibError`."""
    number = r"(-?\d{1,6}(?:\.\d{1,9})?)"
    found = re.fullmatch(f"{number},{number}", text)
    point = (float(found[1]), float(found[2])) if found else None
    if point is None or max(map(abs, point)) > extent:
        raise GenlibError(
            f"The point {name} = {text[:40]!r} in the link is not possible: give two numbers from {-extent:g} to "
            f"{extent:g}, e.g. {name}=0.5,-1.25."
        )
    return point
