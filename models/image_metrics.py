"""How good counterfactual images are, where the truth and a measure of images are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyrocausal.errors import UnknownVariable

if TYPE_CHECKING:
    import pandas as pd

    from pyrocausal.model import SCM

__all__ = ["ImageScores", "grey_levels", "score_images"]

Imagine = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Mapping[str, Any]]
Measure = Callable[[Tensor], "pd.DataFrame"]


@dataclass(frozen=True)
class ImageScores:
    """What counterfactual images under an intervention on one variable are worth, on average.

    Attributes:
        variable: The variable that was set.
        units: Number of images.
        effectiveness: Variable to ``mean |measured on the counterfactual image - true|``, of the
            variable set, its descendants and the others.
        composition: Grey levels between the image and that under ``do(variable = its own value)``.
        reversibility: Grey levels between the image and that of the way there and back.
        truth_error: Grey levels from the true counterfactual image; ``None`` where it can't be drawn.
        minimality: What else was measured of an image to its mean change, such as a residual that
            tells lost identity, and each variable that the truth leaves alone to its drift.
        unmeasured: Share of the images on which something could not be measured.
    """

    variable: str
    units: int
    effectiveness: Mapping[str, float]
    composition: float
    reversibility: float
    truth_error: float | None
    minimality: Mapping[str, float] = field(default_factory=dict)
    unmeasured: float = 0.0

    def __str__(self) -> str:
        errors = ", ".join(f"{name} {error:.3g}" for name, error in self.effectiveness.items())
        lines = [f"do({self.variable}), {self.units} images", f"effectiveness: off by {errors}"]
        lines.append(f"composition {self.composition:.3g}, reversibility {self.reversibility:.3g}")
        if self.truth_error is not None:
            lines[-1] += f", truth error {self.truth_error:.3g}"
        lines[-1] += " grey levels"
        if self.minimality:
            kept = ", ".join(f"{name} {change:.3g}" for name, change in self.minimality.items())
            lines.append(f"minimality: drift of {kept}")
        if self.unmeasured:
            lines.append(f"not to be measured on {self.unmeasured:.1%} of the images")
        return "\n".join(lines)


def grey_levels(images: Tensor, others: Tensor) -> Tensor:
    """Return the mean absolute difference of each pair of images in [-1, 1], in grey levels.

    Args:
        images: Shape ``(*batch, C, H, W)``.
        others: Of the same shape.

    Returns:
        Shape ``(*batch,)``; 0 to 255.

    Example:
        >>> grey_levels(-torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4))
        tensor([255., 255.])
    """
    return 127.5 * (images - others).abs().mean((-3, -2, -1))


def score_images(
    imagine: Imagine,
    images: Tensor,
    table: pd.DataFrame,
    do: Mapping[str, Any],
    *,
    truth: SCM,
    measure: Measure,
    render: Callable[[Any], Tensor] | None = None,
    seen: Sequence[str] = (),
    image: str = "image",
) -> ImageScores:
    """Compare counterfactual images with what the true model says.

    - *Effectiveness*: the variables measured on the counterfactual image, against their values in
      the true counterfactual. It sees whether an intervention reaches the descendants.
    - *Composition*: setting the variable to the value it has must leave the image as it is.
    - *Reversibility*: setting it back to that value must give the image back.
    - *Minimality*: what the truth leaves alone must not be seen to move.

    Args:
        imagine: Takes evidence and an intervention and returns a mapping with the counterfactual
            image and, for what was seen beside it, values: the ``counterfactual`` of an SCM, or a
            function of the same arguments.
        images: In [-1, 1], shape ``(n, C, H, W)``.
        table: The true values of the variables behind them, a row for each image; a root of the
            truth that no one knows may be left out.
        do: The variable to set and its value, or one for each image.
        truth: The true model of the variables.
        measure: Reads variables back from images; further columns count as identity.
        render: Draws images from a table of variables.
        seen: The columns that are evidence beside the image.
        image: The image's name.

    Returns:
        The scores.

    Raises:
        UnknownVariable: A variable that the table or the truth has not.
        ValueError: Not one variable to set; numbers of images and rows that differ.

    Example:
        >>> from pyrocausal import datasets
        >>> images, table = datasets.pendulum(20)
        >>> copy = lambda evidence, do: evidence
        >>> scores = score_images(
        ...     copy,
        ...     images,
        ...     table,
        ...     {"length": 5.0},
        ...     truth=datasets.pendulum_scm(),
        ...     measure=datasets.measure_pendulum,
        ... )
        >>> scores.composition, scores.effectiveness["length"] > 1
        (0.0, True)

    References:
        Monteiro, De Sousa Ribeiro, Pawlowski, Castro, Glocker (2023), Measuring axiomatic soundness
        of counterfactual image models.
    """
    if len(do) != 1:
        raise ValueError(f"score_images() got do={dict(do)}; expected one variable to set.")
    if len(images) != len(table):
        raise ValueError(
            f"score_images() got {len(images)} images and {len(table)} rows; expected as many."
        )
    ((variable, value),) = do.items()
    for name in (variable, *seen):
        if name not in table:
            raise UnknownVariable(name, map(str, table), "the table")
    target = torch.as_tensor(value, dtype=images.dtype).expand(len(images))
    labels = {name: _tensor(table[name], images) for name in seen}
    evidence = {image: images, **labels}
    there = imagine(evidence, {variable: target})
    # Of an image without labels the model has its own view, and starts from that.
    factual = getattr(there, "factual", {})
    own = factual.get(variable, _tensor(table[variable], images)).to(images)
    still = imagine(evidence, {variable: own})
    back = imagine({name: there[name] for name in evidence}, {variable: own})
    known = [name for name in truth.variables if name in table]
    expected = truth.counterfactual(table[known], {variable: target})
    before, after = measure(images), measure(there[image])
    names = [name for name in known if name in after]
    true = {name: expected[name].double().numpy() for name in names}
    errors = {name: (after[name] - true[name]).abs() for name in names}
    kept = [n for n in names if bool((true[n] == table[n].astype(true[n].dtype)).all())]
    identity = [str(name) for name in after if name not in truth.variables]
    drift = {name: (after[name] - before[name]).abs().mean() for name in (*kept, *identity)}
    drawn = None if render is None else render({**_columns(table), **expected})
    return ImageScores(
        variable=variable,
        units=len(images),
        effectiveness={name: float(error.mean()) for name, error in errors.items()},
        composition=float(grey_levels(still[image], images).mean()),
        reversibility=float(grey_levels(back[image], images).mean()),
        truth_error=None if drawn is None else float(grey_levels(there[image], drawn).mean()),
        minimality={name: float(change) for name, change in drift.items()},
        unmeasured=float(after[names].isna().any(axis=1).mean()),
    )


def _tensor(column: Any, like: Tensor) -> Tensor:
    return torch.tensor(column.to_numpy(), dtype=like.dtype, device=like.device)


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    return {str(name): table[name].to_numpy() for name in table}
