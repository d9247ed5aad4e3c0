"""Pictures of what the verbs return: distributions by world, the three rungs, units that move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyrocausal.errors import UnknownVariable
from pyrocausal.plot.style import BAND, INK, PALETTE, new_axes, new_row, tidy
from pyrocausal.results import RUNGS, Counterfactual, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["distributions", "ladder", "moves", "slopes", "units"]

Array = npt.NDArray[np.float64]

MOST_LEVELS: Final = 20
"""A variable with no more whole values than these is drawn as bars."""

MOST_NAMED: Final = 12
"""So many units have room for their names."""

MOST_PANELS: Final = 8


def distributions(answer: Samples, variables: Sequence[str] | str = ()) -> Figure:
    """Draw the distribution of each variable, a colour for each world.

    Args:
        answer: What a verb returned.
        variables: Which, by name; the first eight that are one number a unit by default.

    Raises:
        UnknownVariable: The answer has no such variable.
        ValueError: A variable has several numbers for each unit.

    Example:
        >>> model = pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)))
        >>> distributions(model.sample(100, seed=0)).axes[0].get_xlabel()
        'x'
    """
    names = [variables] if isinstance(variables, str) else list(variables)
    names = names or _scalars(answer)[:MOST_PANELS]
    axes = new_row(len(names), (3.6, 3.2))
    for ax, name in zip(axes, names, strict=True):
        values = _worlds(answer, name)
        _histograms(ax, values, world_names(answer), _edges([*values]))
        tidy(ax, x=name, y="probability" if _edges([*values]) is None else "density")
    return _finished(axes, _shortened(answer.query))


def ladder(answers: Sequence[Samples], variable: str) -> Figure:
    """Draw one variable as it is seen, done and imagined, side by side on one scale.

    Args:
        answers: What ``sample``, ``do(...).sample`` and ``counterfactual`` returned, in the order in
            which they are to stand.
        variable: Its name.

    Raises:
        UnknownVariable: An answer has no such variable.
        ValueError: It has several numbers for each unit; no answers.

    Example:
        >>> @pc.scm
        ... def clinic():
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.5))
        ...     pyro.sample("recovery", dist.Normal(2.0 * treated, 0.5))
        >>> seen = clinic.sample(200, seed=0)
        >>> done = clinic.do(treated=1.0).sample(200, seed=0)
        >>> imagined = clinic.counterfactual(dict(seen), {"treated": 1.0}, seed=0)
        >>> figure = ladder([seen, done, imagined], "recovery")
        >>> [ax.get_title("left").splitlines()[0] for ax in figure.axes]
        ['rung 1 (seeing)', 'rung 2 (doing)', 'rung 3 (imagining)']
    """
    if not answers:
        raise ValueError("ladder() got no answers; expected some, such as [scm.sample(1000)].")
    values = [_worlds(answer, variable) for answer in answers]
    edges = _edges([world for answer in values for world in answer])
    axes = new_row(len(answers), (3.8, 3.2), sharex=True, sharey=True)
    for ax, answer, worlds in zip(axes, answers, values, strict=True):
        names = world_names(answer)
        if isinstance(answer, Counterfactual):
            factual = _worlds(answer, variable, factual=True)
            _histograms(ax, [factual[0]], ["factual"], edges, colors=[INK])
        _histograms(ax, worlds, names, edges)
        title = f"rung {RUNGS[answer.rung]}\n{_shortened(answer.query)}"
        tidy(ax, x=variable, title=title)
    axes[0].set_ylabel("probability" if edges is None else "density")
    return _finished(axes)


def slopes(
    answer: Counterfactual,
    variable: str,
    *,
    most: int = 60,
    ax: Axes | None = None,
    unit: str = "",
) -> Axes:
    """Draw each unit's way from what was seen to what would have been.

    Draws are averaged; a bar then shows where 90 % of them lie.

    Args:
        answer: What ``counterfactual`` returned.
        variable: Its name.
        most: Draw so many units, evenly spaced, where there are more.
        ax: Where to draw; a new figure by default.
        unit: Of the variable, such as ``"kg"``.

    Raises:
        UnknownVariable: The answer has no such variable.
        ValueError: It has several numbers for each unit.
        TypeError: The answer is no counterfactual.

    Example:
        >>> @pc.scm
        ... def clinic():
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.5))
        ...     pyro.sample("recovery", dist.Normal(2.0 * treated, 0.5))
        >>> seen = {"treated": [0.0, 1.0], "recovery": [0.1, 2.3]}
        >>> ax = slopes(clinic.counterfactual(seen, {"treated": 1.0}), "recovery")
        >>> [t.get_text() for t in ax.get_xticklabels()]
        ['factual', 'treated=1']
    """
    if not isinstance(answer, Counterfactual):
        raise TypeError(
            f"slopes() got a {type(answer).__name__}; expected what counterfactual() returned, "
            "since units move between worlds there alone."
        )
    ax = new_axes(ax)
    draws = np.stack([*units(answer, variable, factual=True), *units(answer, variable)])
    total = draws.shape[2]
    shown = np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))
    draws = draws[:, :, shown]
    means, at = draws.mean(1), np.arange(len(draws))
    change = means[-1] - means[0]
    for words, chosen, color in (
        ("higher", change > 0, PALETTE[0]),
        ("lower", change < 0, PALETTE[1]),
        ("the same", change == 0, INK),
    ):
        if chosen.any():
            look: dict[str, Any] = {"color": color, "linewidth": 1.0, "alpha": 0.7, "marker": "o"}
            lines = ax.plot(at, means[:, chosen], markersize=3, **look)
            lines[0].set_label(f"{words}: {chosen.sum()}")
            if draws.shape[1] > 1:
                low, high = np.quantile(draws[:, :, chosen], [0.05, 0.95], axis=1)
                for world in at[1:]:
                    ax.vlines(
                        np.full(chosen.sum(), world), low[world], high[world], color, alpha=0.4
                    )
    if len(shown) <= MOST_NAMED:
        for place, height in zip(shown, means[-1], strict=True):
            name = place if answer.units is None else answer.units[place]
            ax.annotate(f" {name}", (at[-1], height), va="center", fontsize="small")
    names = world_names(answer)
    ax.set_xticks(at, ["factual", *names])
    ax.margins(x=0.15)
    some = f", {len(shown)} of {total} units" if len(shown) < total else ""
    above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 3}
    title = f"{names[-1]} against the fact{some}"
    ax.legend(title=title, frameon=False, fontsize="small", alignment="left", **above)
    return tidy(ax, y=f"{variable} ({unit})" if unit else variable)


def moves(answer: Counterfactual, variables: Sequence[str] = ()) -> Figure:
    """Draw the slopes of several variables, by default of those that the action moves.

    Raises:
        UnknownVariable: The answer has no such variable.
        ValueError: A variable has several numbers for each unit.
    """
    scalars = _scalars(answer)
    free = [name for name in scalars if name not in answer.natural]
    moved = [name for name in free if _moves(answer, name)]
    names = list(variables) or (moved or free or scalars)[:MOST_PANELS]
    axes = new_row(len(names), (4.0, 3.4))
    for ax, name in zip(axes, names, strict=True):
        slopes(answer, name, ax=ax)
    return _finished(axes, _shortened(answer.query, 46 * len(names)))


def _moves(answer: Counterfactual, name: str) -> bool:
    return bool((units(answer, name) != units(answer, name, factual=True)).any())


def world_names(answer: Samples) -> list[str]:
    """Return a name for each world: what its interventions set, else its number.

    Example:
        >>> model = pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)))
        >>> world_names(model.do(x=pc.grid([0.0, 1.5])).sample(3, seed=0))
        ['x=0', 'x=1.5']
    """
    size = len(_worlds(answer, next(iter(answer)), whole=False)) if len(answer) else 0
    given = [name for name in answer.natural if name in answer]
    names = []
    for world in range(size):
        values = {name: _worlds(answer, name, whole=False)[world] for name in given}
        parts = [f"{n}={v[0]:g}" for n, v in values.items() if (v == v[0]).all()]
        several = size > 1 or not answer.natural
        names.append(", ".join(parts) or (f"world {world}" if several else "after the action"))
    if not answer.natural:
        return ["factual" if answer.rung == 3 else "as it is"] * size
    return names


def units(answer: Samples, variable: str, *, factual: bool = False) -> Array:
    """Return the values of a variable, shape ``(world, draw, unit)``, each at least 1.

    Raises:
        UnknownVariable: The answer has no such variable.
        ValueError: It has several numbers for each unit.
    """
    held = answer.factual if factual and isinstance(answer, Counterfactual) else answer.data
    if variable not in held:
        raise UnknownVariable(variable, held, "this answer")
    if not _is_scalar(answer, variable):
        raise ValueError(
            f"{variable!r} has several numbers for each unit; expected one. Draw what you make of "
            "them, such as their mean."
        )
    value = held[variable].detach().cpu().to(torch.float64)
    dims = (
        []
        if variable in answer.shared
        else [d for d in answer.dims if d != "world" or not factual]
    )
    for place, dim in enumerate(("draw", "world", "unit")):
        if dim not in dims:
            value = value.unsqueeze(place)
    array: Array = value.transpose(0, 1).numpy()
    return array


def _worlds(
    answer: Samples, variable: str, *, factual: bool = False, whole: bool = True
) -> list[Array]:
    """Return the values of each world, flat; of several numbers a unit only where asked."""
    if not whole and not _is_scalar(answer, variable):
        value = answer[variable].detach().cpu().to(torch.float64)
        at = answer.dims.index("world") if "world" in answer.dims else None
        parts: Iterable[Tensor] = [value] if at is None else value.movedim(at, 0)
        return [part.flatten().numpy() for part in parts]
    return [world.reshape(-1) for world in units(answer, variable, factual=factual)]


def _scalars(answer: Samples) -> list[str]:
    """Return the variables that are one number a unit, refusing an answer that has none."""
    found = [name for name in answer if _is_scalar(answer, name)]
    if not found:
        raise ValueError(
            "plot() got an answer with no variable that is one number a unit; draw what you make "
            "of its values, such as their mean."
        )
    return found


def _is_scalar(answer: Samples, name: str) -> bool:
    if name not in answer.data:
        raise UnknownVariable(name, answer.data, "this answer")
    return answer.data[name].dim() == (0 if name in answer.shared else len(answer.dims))


def _edges(values: Sequence[Array]) -> Array | None:
    """Return bins for all values; none where there are few different whole numbers."""
    every = np.concatenate(values)
    if len(np.unique(every)) <= MOST_LEVELS and (every == np.round(every)).all():
        return None
    edges: Array = np.histogram_bin_edges(every, bins=min(60, max(10, int(len(every) ** 0.5))))
    return edges


def _histograms(
    ax: Axes,
    worlds: Sequence[Array],
    names: Sequence[str],
    edges: Array | None,
    colors: Sequence[str] = PALETTE,
) -> None:
    """Draw one distribution for each world; one that has a single value is a line."""
    if len(worlds) > 1 and all(np.array_equal(values, worlds[0]) for values in worlds):
        worlds, names = worlds[:1], ["all worlds"]
    for i, (values, name) in enumerate(zip(worlds, names, strict=True)):
        color = colors[i % len(colors)]
        if edges is None:
            levels, counts = np.unique(values, return_counts=True)
            width = 0.8 / len(worlds)
            at = levels + width * (i - (len(worlds) - 1) / 2)
            shares = counts / counts.sum()
            filled = color if colors is PALETTE else "none"
            ax.bar(at, shares, width, label=name, color=filled, edgecolor=color, alpha=0.8)
            ax.locator_params(axis="x", integer=True)
        elif (values == values[0]).all():
            ax.axvline(values[0], color=color, linewidth=2, label=f"{name}: {values[0]:.3g}")
        else:
            ax.hist(values, [*edges], density=True, histtype="step", color=color, label=name)
            if colors is PALETTE:
                ax.hist(values, [*edges], density=True, color=color, alpha=BAND)


def _finished(axes: Sequence[Axes], title: str = "") -> Figure:
    """Return the figure of a row of axes, with a legend where there is more than one entry."""
    figure: Any = axes[0].figure
    if title:
        figure.suptitle(title, fontsize="medium", x=0.01, ha="left")
    for ax in axes:
        labels = ax.get_legend_handles_labels()[1]
        if ax.get_legend() is None and set(labels) - {"as it is"}:
            ax.legend(frameon=False, fontsize="small")
    finished: Figure = figure
    return finished


def _shortened(query: str, most: int = 46) -> str:
    return query if len(query) <= most else query[: most - 1] + "…"
