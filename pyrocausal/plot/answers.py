"""Pictures of answers: effects side by side, over doses, in parts, and what bounds leave open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pyrocausal.answers import Answer, Interval
from pyrocausal.plot.style import BAND, INK, PALETTE, new_axes, points, reference, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["dose_response", "forest", "probabilities", "waterfall"]

_LINE: Final = 60  # letters
_MARKED: Final = 20  # doses that have room for a mark each

Array = npt.NDArray[np.float64]
Answers = Mapping[str, Answer] | Sequence[Answer] | Answer


class _Row(NamedTuple):
    """One number of an answer, with its limits where there are some."""

    label: str
    value: float
    interval: tuple[float, float] | None
    bounds: tuple[float, float] | None


def forest(
    effects: Answers,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    unit: str = "",
) -> Axes:
    """Draw effects below one another, each a point with its interval.

    An answer with several numbers, such as one for each subgroup, has a row for each. What remains
    possible without the assumptions that a value needs is a wide pale bar.

    Args:
        effects: Answers, several or one; or label to answer.
        labels: A label for each answer; by default its key, else its query. One answer alone
            has its query below the axis.
        ax: Where to draw; a new figure by default.
        unit: Of the effects, such as ``"kg"``.

    Raises:
        ValueError: No answers, or not as many labels.

    Example:
        >>> from pyrocausal.answers import Effect, Interval
        >>> ax = forest({"ate": Effect(2.0, 0.5, Interval(1.0, 3.0), "E[Y]", rung=2)})
        >>> [t.get_text() for t in ax.get_yticklabels()]
        ['ate']
    """
    alone = isinstance(effects, Answer) and labels is None
    named = _named(effects, [""] if alone else labels)
    rows = [row for label, answer in named for row in _rows(label, answer)]
    ax = new_axes(ax, (6.0, 0.4 * len(rows) + 1.4))
    reference(ax, x=0.0)
    _draw_rows(ax, rows)
    text = named[0][1].query if alone else "effect"
    return tidy(ax, x=fill(_with(text, [answer for _, answer in named], unit), _LINE))


def dose_response(effect: Answer, ax: Axes | None = None, *, unit: str = "") -> Axes:
    """Draw an answer over the doses it has a number for, with its interval as a band.

    Args:
        effect: An answer whose index holds numbers.
        ax: Where to draw; a new figure by default.
        unit: Of the outcome, such as ``"kg"``.

    Raises:
        ValueError: The answer is a single number, or its index holds no numbers.

    Example:
        >>> import pandas as pd
        >>> from pyrocausal.answers import Effect
        >>> doses = pd.Index([0.0, 1.0, 2.0], name="dose")
        >>> answer = Effect(torch.tensor([0.0, 2.0, 3.0]), None, None, "E[Y]", 2, index=doses)
        >>> dose_response(answer).get_xlabel()
        'dose'
    """
    try:
        doses = np.asarray(effect.index, dtype=np.float64)
    except (TypeError, ValueError):
        doses = np.empty(0)
    if not doses.ndim or len(doses) < 2:
        raise ValueError(
            f"dose_response() got an answer whose index is {effect.index!r}; expected one number "
            "for each of several doses, such as over pc.grid. forest() draws groups."
        )
    order = np.argsort(doses)
    ax = new_axes(ax)
    look: dict[str, Any] = {"marker": "o", "markersize": 4} if len(doses) <= _MARKED else {}
    ax.plot(doses[order], _spread(effect.value, len(doses))[order], color=PALETTE[0], **look)
    for interval, color, words in (
        (effect.bounds, INK, "bounds"),
        (effect.interval, PALETTE[0], f"{_percent(effect.interval)} interval"),
    ):
        if interval is not None:
            low, high = (_spread(limit, len(doses))[order] for limit in interval)
            ax.fill_between(
                doses[order], low, high, color=color, alpha=BAND, linewidth=0, label=words
            )
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize="small")
    return tidy(ax, x=str(effect.index.name or "dose"), y=_with(effect.query, [], unit))


def waterfall(
    total: Answer, direct: Answer, indirect: Answer, ax: Axes | None = None, *, unit: str = ""
) -> Axes:
    """Draw how the direct and the indirect effect add up to the total one.

    Natural effects do so only where treatment and mediator don't interact; what is left is a step
    of its own, ``total - direct - indirect``.

    Args:
        total: The total effect, a single number.
        direct: The effect that no mediator carries.
        indirect: The effect that the mediators carry.
        ax: Where to draw; a new figure by default.
        unit: Of the effects, such as ``"kg"``.

    Raises:
        ValueError: An answer with several numbers.

    Example:
        >>> from pyrocausal.answers import Effect
        >>> parts = [Effect(v, None, None, "E[Y]", rung=2) for v in (3.0, 1.0, 1.5)]
        >>> [t.get_text() for t in waterfall(*parts).get_xticklabels()]
        ['direct', 'indirect', 'interaction', 'total']
    """
    parts = [_one(part, "waterfall") for part in (direct, indirect, total)]
    left = parts[2].value - parts[0].value - parts[1].value
    if abs(left) < 1e-6 * max(abs(part.value) for part in parts):
        left = 0.0  # what rounding leaves is no interaction
    steps = [("direct", parts[0].value), ("indirect", parts[1].value), ("interaction", left)]
    ax = new_axes(ax)
    reference(ax, y=0.0)
    bottom = 0.0
    for i, (_, step) in enumerate(steps):
        color = PALETTE[0] if step >= 0 else PALETTE[1]
        _bar(ax, i, bottom, step, color, parts[i].interval if i < 2 else None)
        bottom += step
        ax.plot([i - 0.3, i + 1.3], [bottom, bottom], color=INK, linewidth=0.8)
    _bar(ax, 3, 0.0, parts[2].value, INK, parts[2].interval)
    ax.use_sticky_edges = False  # leave room below a bar too
    ax.set_xticks(range(4), [*(name for name, _ in steps), "total"])
    ax.margins(y=0.12)
    return tidy(ax, y=_with("effect", [total, direct, indirect], unit))


def probabilities(
    effects: Answers, labels: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw probabilities, such as those of causation, with the bounds that data can't narrow.

    The point is the answer of the couplings that the model has; the pale bar is what all couplings
    allow.

    Args:
        effects: Answers, several or one; or label to answer.
        labels: A label for each answer; by default its key, else its query.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: A value outside 0 to 1.

    Example:
        >>> from pyrocausal.answers import Effect, Interval
        >>> pn = Effect(0.6, 0.01, None, "PN", rung=3, bounds=Interval(0.4, 1.0))
        >>> [t.get_text() for t in probabilities({"PN": pn}).get_yticklabels()]
        ['PN']
    """
    rows = [row for label, answer in _named(effects, labels) for row in _rows(label, answer)]
    wrong = [row for row in rows if not -1e-6 <= row.value <= 1 + 1e-6]
    if wrong:
        raise ValueError(
            f"probabilities() got {wrong[0].label!r} with the value {wrong[0].value:.4g}; expected "
            "numbers from 0 to 1. forest() draws effects."
        )
    ax = new_axes(ax, (6.0, 0.45 * len(rows) + 1.4))
    _draw_rows(ax, rows)
    ax.set_xlim(0.0, 1.0)
    return tidy(ax, x="probability")


def _draw_rows(ax: Axes, rows: Sequence[_Row]) -> None:
    """Draw rows from the top: bounds as pale bars, intervals as lines, values as points."""
    at = np.arange(len(rows))[::-1]
    for height, row in zip(at, rows, strict=True):
        if row.bounds is not None:
            low, high = row.bounds
            ax.barh(height, high - low, 0.5, low, color=PALETTE[5], alpha=0.45, label="bounds")
        if row.interval is not None:
            ax.hlines(height, *row.interval, PALETTE[0], linewidth=2, label="interval")
    ax.plot([row.value for row in rows], at, label="value", clip_on=False, **points(PALETTE[0]))
    ax.set_yticks(at, [fill(row.label, _LINE // 2) for row in rows])
    if not any(row.label for row in rows):
        ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    handles, words = ax.get_legend_handles_labels()
    once = dict(zip(words, handles, strict=True))
    if "bounds" in once:
        ax.legend(once.values(), once.keys(), frameon=False, fontsize="small")


def _named(effects: Answers, labels: Sequence[str] | None) -> list[tuple[str, Answer]]:
    if isinstance(effects, Answer):
        effects = [effects]
    found = list(effects.values()) if isinstance(effects, Mapping) else list(effects)
    keys = list(effects) if isinstance(effects, Mapping) else [answer.query for answer in found]
    names = keys if labels is None else list(labels)
    if not found or len(names) != len(found):
        raise ValueError(
            f"Got {len(found)} answers and {len(names)} labels; expected a label for each of some."
        )
    return list(zip(names, found, strict=True))


def _rows(label: str, answer: Answer) -> Iterator[_Row]:
    """Yield the numbers of an answer, each under its own label."""
    if answer.index is None:
        names = [label]
    else:
        name = answer.index.name if answer.index.name != "variable" else None
        names = [
            ", ".join(filter(None, (label, f"{name}={_entry(entry)}" if name else str(entry))))
            for entry in answer.index
        ]
    values = _spread(answer.value, len(names))
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        limits = [_limits(given, i, len(names)) for given in (answer.interval, answer.bounds)]
        yield _Row(name, float(value), *limits)


def _limits(interval: Interval | None, place: int, rows: int) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = (_spread(limit, rows)[place] for limit in interval)
    return float(low), float(high)


def _one(answer: Answer, where: str) -> _Row:
    rows = list(_rows(answer.query, answer))
    if len(rows) != 1:
        raise ValueError(f"{where}() got an answer with {len(rows)} numbers; expected one.")
    return rows[0]


def _spread(value: Any, rows: int) -> Array:
    spread: Array = np.broadcast_to(torch.as_tensor(value).detach().cpu().double().numpy(), rows)
    return spread


def _entry(entry: Any) -> str:
    return f"{entry:.4g}" if isinstance(entry, float) else str(entry)


def _with(text: str, answers: Sequence[Answer], unit: str) -> str:
    """Say in which unit the numbers are, and which intervals are drawn, if it is one kind."""
    levels = {_percent(answer.interval) for answer in answers if answer.interval is not None}
    of = f" ({unit})" if unit else ""
    return f"{text}{of}" + (f", with {levels.pop()} interval" if len(levels) == 1 else "")


def _percent(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval.level:g} %"


def _bar(
    ax: Axes, x: int, start: float, step: float, color: str, interval: tuple[float, float] | None
) -> None:
    """Draw one step, with the limits of its end, and its number above all of it."""
    ax.bar(x, step, 0.6, start, color=color)
    top = max(start, start + step)
    if interval is not None:
        low, high = (start + limit for limit in interval)
        ax.vlines(x, low, high, "black", linewidth=1.5)
        top = max(top, high)
    above: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}
    ax.annotate(f"{step:+.3g}", (x, top), (0, 3), **above)
