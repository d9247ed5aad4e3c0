"""Pictures of a model of images: its training, and a grid of interventions on units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import torch
from torch import Tensor

from pyrocausal.models.causal_diffae_program import IMAGE
from pyrocausal.models.image_training import Training
from pyrocausal.plot.style import PALETTE, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyrocausal.models.causal_diffae import CausalDiffAE

__all__ = ["Watch", "grid", "intervention_grid"]

SAMPLES: Final = 8
FEW_STEPS: Final = 20


@final
class Watch:
    """Draws, while a model is trained, the loss and a few images from noise.

    Args:
        model: The model.
        images: The training images: the causes of the first few are painted again.
        folder: Where ``loss.png`` and ``samples.png`` are written.
    """

    def __init__(self, model: Any, images: Tensor, folder: Path) -> None:
        self.model, self.images, self.folder = model, images[:SAMPLES], folder
        folder.mkdir(parents=True, exist_ok=True)

    @torch.no_grad()
    def __call__(self, training: Training) -> None:
        """Draw both pictures."""
        self._save(self._curve(training.losses), "loss.png")
        diffusion, z = self.model.program.painter.diffusion, self.model._means(self.images)
        noise = torch.randn(self.images.shape, generator=torch.Generator().manual_seed(0))
        abducted = diffusion.invert(self.images, z, FEW_STEPS)
        rows = {
            "image": self.images,
            "again": diffusion.decode(abducted, z, FEW_STEPS),
            "new noise": diffusion.decode(noise, z, FEW_STEPS),
        }
        self._save(grid(rows), "samples.png")

    def _curve(self, losses: Sequence[float]) -> Figure:
        ax = new_axes(None)
        width = max(1, len(losses) // 100)
        means = torch.tensor(losses).unfold(0, width, width).mean(1).tolist()
        ax.plot([width * (i + 1) for i in range(len(means))], means, color=PALETTE[0])
        ax.set_yscale("log")
        tidy(ax, x="step", y="squared error of the prediction", title="diffusion model")
        return ax.figure  # type: ignore[return-value]

    def _save(self, figure: Figure, name: str) -> None:
        from matplotlib import pyplot

        figure.savefig(self.folder / name, dpi=100)
        pyplot.close(figure)


def grid(
    rows: Mapping[str, Tensor], captions: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """Draw images, a row for each name and a column for each unit.

    Args:
        rows: Name to images in [-1, 1], shape ``(unit, C, H, W)``.
        captions: Name to what stands under each image of the row.

    Example:
        >>> figure = grid({"factual": torch.zeros(2, 1, 4, 4)}, {"factual": ["a", "b"]})
        >>> len(figure.axes)
        2
    """
    from matplotlib import pyplot

    columns = max(len(images) for images in rows.values())
    height = 1.5 if captions else 1.15
    figure, axes = pyplot.subplots(
        len(rows),
        columns,
        squeeze=False,
        layout="constrained",
        figsize=(1.25 * columns + 1.0, height * len(rows)),
    )
    for (name, images), line in zip(rows.items(), axes, strict=True):
        under = (captions or {}).get(name, [""] * columns)
        for ax, image, text in zip(line, images, under, strict=False):
            pixels = ((image.detach().cpu().float().clamp(-1, 1) + 1) / 2).movedim(0, -1)
            ax.imshow(pixels.squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1)
            ax.set_xlabel(text, fontsize=6)
        line[0].set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")
        for ax in line:
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
    return figure


def intervention_grid(
    model: CausalDiffAE,
    images: Tensor,
    interventions: Mapping[str, Mapping[str, Any]],
    *,
    measure: Callable[[Tensor], Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw what interventions make of units: the images, the null intervention, then each world.

    Args:
        model: The model.
        images: The units, in [-1, 1], shape ``(unit, C, H, W)``.
        interventions: Name of the row to intervention.
        measure: Reads the causes back from images, a DataFrame; they are written below each.
        evidence: What else was seen of the units.
    """
    asked = [dict(action) for action in interventions.values()]
    seen = {IMAGE: images, **(evidence or {})}
    answer = model.scm.counterfactual(seen, asked)
    # A null intervention that leaves every variable copies the image: paint it anew instead.
    cause = model.names[0]
    factual = answer.factual[cause]
    null = model.scm.counterfactual(seen, {cause: factual})
    rows = {"factual": images, "do(nothing)": null[IMAGE]}
    rows |= dict(zip(interventions, answer[IMAGE], strict=True))
    if measure is None:
        return grid(rows)
    return grid(rows, {name: _captions(measure(row)) for name, row in rows.items()})


def _captions(measured: Any) -> list[str]:
    names = [str(name)[:3] for name in measured.columns]
    return [
        "\n".join(
            "  ".join(f"{n} {v:.2f}" for n, v in pairs[i : i + 2]) for i in range(0, len(pairs), 2)
        )
        for row in measured.itertuples(index=False)
        for pairs in [list(zip(names, row, strict=True))]
    ]
