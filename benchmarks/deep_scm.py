"""Deep structural causal models of digits: ``python -m benchmarks.deep_scm``; writes RESULTS.md.

It goes on where it was stopped: what is in ``--folder`` is not done again, and a training that was
cut off goes on from its last checkpoint. ``--only NAME`` does one data set, ``--table`` only
writes. Beside the figures it draws a grid of counterfactuals of each data set. Morpho-MNIST needs
``PYROCAUSAL_DATA``, the small digits scikit-learn; what is not there is left out.
"""

import argparse
import importlib.util
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal import datasets
from pyrocausal.datasets.files import VARIABLE
from pyrocausal.models.deep_scm import DeepSCM, DeepSCMResult
from pyrocausal.models.image_metrics import score_images

HEADING = "## Counterfactual digits"
INTRO = """\
`python -m benchmarks.deep_scm` fills this section, and goes on where it was stopped. 24 November
2026, torch 2.13, processor time on one thread of two cores that other programs used too; seed 0.
thickness -> intensity, and both and a code of 16 numbers -> image; the evidence is the image with
both labels, the intervention another image's value. Errors are mean absolute ones, of what is
measured on the counterfactual image from the true model's value (on the small digits, where none is
known, from the model's own): thickness in pixels, intensity and all else in grey levels of 255.
Composition is `do` of the variable's own value against the image, reversibility the way there and
back. "Copy" returns the image it was given. With the pixels' noise, composition is 0 by
construction: "decoder's mean" leaves it out.

What it shows: a child follows its intervened parent in the image (intensity after `do(thickness)`)
where the law makes it follow far. The pixels' noise brings identity back, and with it remains of
the old stroke: without it thickness is nearer its aim after `do(thickness)` of stroke digits, and
all else is worse. On the small digits thickness hardly tells intensity (correlation 0.30), and there
a copy is nearer in intensity after `do(thickness)`. What is to stay, thickness under
`do(intensity)`, drifts by 0.1 to 0.3 pixels. Images drawn anew, without evidence, show the noise of
the pixels and are poor: the model is one for counterfactuals of images that were seen."""
SEEN = ("thickness", "intensity")
TRAINED, TESTED = 4000, 200


@dataclass(frozen=True)
class Task:
    """Images to train on, images to test on, and what is known of them."""

    images: Tensor
    table: Any
    test_images: Tensor
    test_table: Any
    measure: Callable[[Tensor], Any]
    render: Callable[[Any], Tensor] | None
    truth: Callable[[DeepSCMResult], pc.SCM]
    steps: int


def strokes() -> Task:
    """Stroke digits, whose true counterfactuals can be drawn."""
    images, table = datasets.morpho_digits(TRAINED)
    test, truth = datasets.morpho_digits(TESTED, seed=1)
    return Task(
        *(images, table, test, truth),
        measure=lambda x: datasets.measure_morpho_digits(x, truth),
        render=datasets.render_morpho_digits,
        truth=lambda result: datasets.morpho_digits_scm(),
        steps=1500,
    )


def morphomnist() -> Task | None:
    """Morpho-MNIST."""
    if VARIABLE not in os.environ:
        return None
    train, test = datasets.morphomnist("train"), datasets.morphomnist("test")
    return Task(
        *(train.scaled, train.attributes, test.scaled[:TESTED], test.attributes[:TESTED]),
        measure=datasets.measure_morphomnist,
        render=None,
        truth=lambda result: datasets.morpho_digits_scm(),
        steps=1500,
    )


def small_digits() -> Task | None:
    """scikit-learn's 8x8 digits."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    images, table = datasets.small_digits()
    cut = len(images) - TESTED
    rest = table[cut:].reset_index(drop=True)
    return Task(
        *(images[:cut], table[:cut], images[cut:], rest),
        measure=datasets.measure_morphomnist,
        render=None,
        truth=lambda result: result.causes,
        steps=2000,
    )


TASKS: dict[str, Callable[[], Task | None]] = {
    "morphomnist": morphomnist,
    "small_digits": small_digits,
    "strokes": strokes,
}
TITLES = {
    "strokes": "Stroke digits, 28x28",
    "morphomnist": "Morpho-MNIST, 28x28",
    "small_digits": "scikit-learn's digits, 8x8",
}


def main() -> None:
    """Do what is left to do, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/deep_scm"))
    parser.add_argument("--only", choices=TASKS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, make in TASKS.items():
        path = options.folder / f"{name}.json"
        if options.table or options.only not in (None, name) or path.exists():
            continue
        task = make()
        if task is None:
            print(name, "left out: its data are not there")
            continue
        path.write_text(json.dumps(run(task, name, options.folder)))
        print(name, flush=True)
    write(options.folder)


def run(task: Task, name: str, folder: Path) -> dict[str, Any]:
    """Train, score, draw."""
    start = time.process_time()
    model = DeepSCM([SEEN], task.images.shape[1:])
    result = model.fit(
        task.images,
        task.table[list(SEEN)],
        steps=task.steps,
        batch_size=64,
        checkpoint=folder / f"{name}_training",
        seed=0,
    )
    trained = time.process_time() - start
    picture(result, task, folder / f"{name}.png")
    assert result.report is not None  # it was not loaded
    return {
        "cpu": trained,
        "total": time.process_time() - start,
        "steps": len(result.report.losses),
        "images": len(task.images),
        "noise": 127.5 * result.decoder.noise.item(),
        "scores": [
            {"contestant": contestant, **asdict(scored(task, result, imagine, variable))}
            for variable in SEEN
            for contestant, imagine in contestants(model, result, task).items()
        ],
    }


def contestants(model: DeepSCM, result: DeepSCMResult, task: Task) -> dict[str, Any]:
    """Return each way of making counterfactual images."""
    untrained = model.fit(
        task.images[:64], task.table[list(SEEN)][:64], steps=1, lr=1e-9, validation=0.0, seed=0
    )
    return {
        "DeepSCM": clipped(lambda e, do: result.scm.counterfactual(e, do, seed=0)),
        "DeepSCM, decoder's mean": clipped(lambda e, do: result.smooth(e, do, seed=0)),
        "untrained, decoder's mean": clipped(lambda e, do: untrained.smooth(e, do, seed=0)),
        "copy": lambda e, do: e,
    }


def clipped(imagine: Callable[[Any, Any], Mapping[str, Tensor]]) -> Callable[[Any, Any], Any]:
    """Return images as they are shown, within [-1, 1]."""

    def shown(evidence: Any, do: Any) -> dict[str, Tensor]:
        answer = dict(imagine(evidence, do))
        return {**answer, "image": answer["image"].clamp(-1.0, 1.0)}

    return shown


def scored(task: Task, result: DeepSCMResult, imagine: Any, variable: str) -> Any:
    """Score the intervention that gives each test image the value of another."""
    order = torch.randperm(TESTED, generator=torch.Generator().manual_seed(0)).numpy()
    return score_images(
        imagine,
        task.test_images,
        task.test_table,
        {variable: task.test_table[variable].to_numpy()[order].copy()},
        truth=task.truth(result),
        measure=task.measure,
        render=task.render,
        seen=SEEN,
    )


def picture(result: DeepSCMResult, task: Task, path: Path) -> None:
    """Draw a grid: a column for each unit, rows of interventions, measured values underneath."""
    from matplotlib.figure import Figure

    images, table = task.test_images[:10], task.test_table[:10]
    evidence = {"image": images, **{name: table[name] for name in SEEN}}
    quantiles = task.table[list(SEEN)].quantile([0.05, 0.95])
    rows = {
        "seen": images,
        "nothing done": result.scm.counterfactual(evidence, {}, seed=0)["image"],
    }
    for name in SEEN:
        for value in quantiles[name]:
            answer = result.scm.counterfactual(evidence, {name: float(value)}, seed=0)
            rows[f"do({name} = {value:.3g})"] = answer["image"]
    rows["drawn anew"] = result.scm.sample(10, seed=0)["image"]
    figure = Figure(figsize=(11, 1.35 * len(rows)))
    grid = figure.subplots(len(rows), 10)
    for axes, (title, row) in zip(grid, rows.items(), strict=True):
        measured = datasets.measure_morphomnist(row)
        for axis, image, (_, found) in zip(axes, row, measured.iterrows(), strict=True):
            axis.imshow(image[0].numpy(), cmap="gray", vmin=-1, vmax=1)
            axis.set_title(
                f"{found['thickness']:.1f}, {found['intensity']:.0f}", fontsize=7, y=-0.25
            )
            axis.axis("off")
        axes[0].text(-0.15, 0.5, title, transform=axes[0].transAxes, ha="right", va="center")
    figure.subplots_adjust(0.16, 0.03, 0.99, 0.99)
    figure.savefig(path, dpi=80)


def write(folder: Path) -> None:
    """Write the section of RESULTS.md."""
    lines = [HEADING, "", INTRO]
    for name in TASKS:
        path = folder / f"{name}.json"
        if path.exists():
            lines += ["", f"### {TITLES[name]}", "", *rows(json.loads(path.read_text()))]
    path = Path(__file__).with_name("RESULTS.md")
    before, _, after = path.read_text().partition(f"{HEADING}\n")
    _, found, rest = after.partition("\n## ")
    text = "\n".join([before.rstrip(), "", *lines]) + "\n" + (f"\n## {rest}" if found else "")
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def rows(found: dict[str, Any]) -> list[str]:
    """Return the lines of one data set."""
    lines = [
        f"{found['images']} images, {found['steps']} steps in {found['cpu']:.0f} s, "
        f"{found['total']:.0f} s with the scores; noise of the pixels {found['noise']:.1f} grey "
        f"levels; {found['scores'][0]['units']} test images.",
        "",
        "| do | | thickness | intensity | composition | reversibility | truth error |",
        "|---|---|---|---|---|---|---|",
    ]
    for score in found["scores"]:
        error, drawn = score["effectiveness"], score["truth_error"]
        lines.append(
            f"| {score['variable']} | {score['contestant']} | {error['thickness']:.2f} | "
            f"{error['intensity']:.1f} | {score['composition']:.2g} | "
            f"{score['reversibility']:.2g} | {'-' if drawn is None else f'{drawn:.1f}'} |"
        )
    return lines


if __name__ == "__main__":
    main()
