"""Widgets made from a model's config: nothing about a field is written twice.

The field's type and bounds choose the widget, its description is the help text, the preset gives the value, and what the visitor changed
goes through the config, whose one sentence says what is wrong. Every widget's value lives in the URL as MODEL.PRESET.FIELD, so that
another preset starts with its own values and a link restores the changes.
"""

import math
import types
import typing
from collections.abc import Collection, Iterable
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from genlib.errors import GenlibError
from genlib.models.contract import Config, Model

SHAPE = ("channels", "height", "width")  # the data set decides these
ACRONYMS = ("ema", "kl")
SLIDER_STEPS = 64  # a whole number with at most this many values gets a slider
Group = Literal["architecture", "training"]
GROUPS: tuple[Group, ...] = get_args(Group)


def bounds(info: FieldInfo) -> tuple[float | None, float | None, bool]:
    """(lowest, highest, open) of a number; ``open``: an end itself is not allowed. None: no limit."""
    low = high = None
    is_open = False
    for rule in info.metadata:
        for name in ("ge", "gt"):
            low = getattr(rule, name, None) if low is None else low
        for name in ("le", "lt"):
            high = getattr(rule, name, None) if high is None else high
        is_open |= getattr(rule, "gt", None) is not None or getattr(rule, "lt", None) is not None
    return low, high, is_open


def field_type(info: FieldInfo) -> Any:
    """A field's type without ``None``."""
    annotation = info.annotation
    if get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def group_of(kind: type[Model], name: str) -> Group:
    """Whether a field shapes the network or its training.

    What every model's config has is training, and so is what a model marks with ``json_schema_extra={"group": "training"}``.
    """
    extra = kind.Config.model_fields[name].json_schema_extra
    marked = extra.get("group") if isinstance(extra, dict) else None
    if marked in GROUPS:
        return marked
    return "training" if name in Config.model_fields else "architecture"


def fields(kind: type[Model], group: Group, without: Collection[str] = ()) -> list[str]:
    """The names of the fields of a group that a visitor may change."""
    return [
        name for name in kind.Config.model_fields if group_of(kind, name) == group and name not in (*SHAPE, *without)
    ]


def label(name: str) -> str:
    """learning_rate -> Learning rate, ema_decay -> EMA decay."""
    first, *rest = name.split("_")
    return " ".join([first.upper() if first in ACRONYMS else first.capitalize(), *rest])


def help_text(info: FieldInfo) -> str:
    """The description and the bounds, as a sentence."""
    text = info.description or ""
    text = text[:1].upper() + text[1:]
    low, high, is_open = bounds(info)
    if low is not None and high is not None:
        between = f"between {low:g} and {high:g}" if is_open else f"{low:g} to {high:g}"
        text = f"{text} ({between})"
    return f"{text}." if text else ""


def parse_tuple(text: str, kind: Any) -> tuple[Any, ...]:
    """ "3, 5" -> (3, 5), as the entries' type. A word that is no such thing stays a word, and the config says what is wrong with it."""
    parts = [part.strip() for part in text.strip("()[] ").split(",") if part.strip()]
    item = next((part for part in get_args(kind) if part is not Ellipsis), str)
    values: list[Any] = []
    for part in parts:
        try:
            values.append(item(part))
        except (ValueError, TypeError):
            values.append(part)
    return tuple(values)


def widget(name: str, info: FieldInfo, value: Any, key: str) -> Any:
    """The field's control with ``value`` at first; returns what it is set to.

    A number's box takes any number: the config says what is out of bounds, in its own words.
    """
    kind = field_type(info)
    common: dict[str, Any] = {"key": key, "help": help_text(info), "bind": "query-params"}
    if kind is bool:
        return st.toggle(label(name), value, **common)
    if get_origin(kind) is Literal:
        options = list(get_args(kind))
        return st.selectbox(label(name), options, options.index(value), **common)
    low, high, is_open = bounds(info)
    if kind is int:
        if low is not None and high is not None and not is_open and high - low < SLIDER_STEPS:
            return st.slider(label(name), int(low), int(high), int(value), **common)
        return int(st.number_input(label(name), value=int(value), step=1, **common))
    if kind is float:
        if low == 0 and high is not None and high <= 1 and not is_open:
            return st.slider(label(name), 0.0, float(high), float(value), step=float(high) / 100, format="%g", **common)
        step = 10.0 ** math.floor(math.log10(abs(value))) / 2 if value else 0.1
        return float(st.number_input(label(name), value=float(value), step=step, format="%g", **common))
    if get_origin(kind) is tuple:
        return parse_tuple(st.text_input(label(name), ", ".join(map(str, value)), **common), kind)
    return st.text_input(label(name), str(value), **common)


def config_controls(kind: type[Model], base: Config, names: Iterable[str], prefix: str) -> dict[str, Any]:
    """Controls for the named fields, set to ``base``; returns the fields whose value now differs from it."""
    changed: dict[str, Any] = {}
    for name in names:
        original = getattr(base, name)
        value = widget(name, kind.Config.model_fields[name], original, f"{prefix}.{name}")
        if not same(value, original):
            changed[name] = value
    return changed


def same(value: Any, original: Any) -> bool:
    """Whether a widget still shows the original: sliders round to their step, and JSON turns tuples into lists."""
    if isinstance(original, float) and isinstance(value, int | float):
        return math.isclose(value, original, rel_tol=1e-6, abs_tol=1e-12)
    return type(value) is type(original) and value == original


def link_complaint(kind: type[Model], base: Config, prefix: str) -> str | None:
    """The sentence for a field in the URL that does not exist or cannot be read; None if all is well.

    To be asked before the controls are drawn: Streamlit drops what it cannot read.
    """
    for name in st.query_params:
        if name.startswith(f"{prefix}."):
            field, text = name.removeprefix(f"{prefix}."), st.query_params[name]
            value: Any = text
            info = kind.Config.model_fields.get(field)
            if info is not None and get_origin(field_type(info)) is tuple:
                value = parse_tuple(text, field_type(info))
            try:
                kind.validate_config({**base.model_dump(), field: value})
            except GenlibError as error:
                return str(error)
    return None
