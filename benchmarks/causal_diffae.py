"""CausalDiffAE on the pendulum: ``python -m benchmarks.causal_diffae``; restartable.

Trains on 4,000 images of 32 pixels, scores counterfactual images beside baselines, and writes
RESULTS.md. Checkpoints, models and a line of JSON for each result stand in ``--folder``: what is
there is not done again. ``--labels 1``, the default, does all images labelled and the baselines;
``--labels .1 .01`` does those shares. ``--only`` chooses methods, ``--table`` only writes.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import pandas as pd  # noqa: TID253 - a benchmark may be slow to import
import torch
from torch import Tensor

from benchmarks import causal_diffae_table
from benchmarks.dci import dci
from pyrocausal import datasets
from pyrocausal.models import CausalDiffAE
from pyrocausal.models.deep_scm import DeepSCM, DeepSCMResult
from pyrocausal.models.image_metrics import ImageScores, score_images

GRAPH = [(a, b) for a in ("angle", "light") for b in ("length", "position")]
SHAPE = (3, 32, 32)
IMAGES, UNITS = 4000, 24
STEPS, SHORT = 1500, 600
"""Steps of the diffusion model with all labels, and with a share of them."""
ACTIONS = {"angle": 0.3, "light": 1.3, "length": 8.0}
VAE_STEPS = 800
SEED = 0

Imagine = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]


def main() -> None:
    """Do what is left to do, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/causal_diffae"))
    parser.add_argument("--labels", type=float, nargs="+", default=[1.0])
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "results.jsonl"
    for share in options.labels:
        done = {(line["share"], line["method"]) for line in lines(path)}
        for method, run in jobs(share, options.folder):
            if options.table or (options.only and method not in options.only):
                continue
            if (share, method) in done:
                continue
            start = process_time()
            result = run() | {"share": share, "method": method}
            result["seconds"] = process_time() - start
            with path.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(share, method, result, flush=True)
    write(options.folder, lines(path))


def jobs(share: float, folder: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the methods of a share of labels."""
    yield "causes", lambda: causes(share, "topological")
    if share == 1.0:
        yield "causes, released", lambda: causes(share, "released")
        yield "copy", lambda: scored(lambda evidence, do: evidence)
        yield "VAE", lambda: vae(residual=True)
        yield "VAE without residual", lambda: vae(residual=False)
    yield "CausalDiffAE", lambda: ours(share, folder)
    if share == 1.0:
        yield "untrained encoder", lambda: untrained(folder)


def training(share: float) -> tuple[Tensor, pd.DataFrame]:
    """Return the training images, and labels of a share of them."""
    images, table = datasets.pendulum(IMAGES, seed=SEED)
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(SEED))
    table = table.copy()
    table.iloc[order[round(share * IMAGES) :].numpy()] = float("nan")
    return images, table


def testing(units: int) -> tuple[Tensor, pd.DataFrame]:
    """Return images that no model was trained on."""
    images, table = datasets.pendulum(units, seed=SEED + 1)
    return images, table


def fitted(share: float, folder: Path) -> CausalDiffAE:
    """Return the trained model, from its file where there is one."""
    path = folder / f"model-{share:g}.safetensors"
    if not path.exists():
        images, labels = training(share)
        model = CausalDiffAE(GRAPH, SHAPE)
        model.fit(
            images,
            labels,
            steps=STEPS if share == 1.0 else SHORT,
            checkpoint=folder / f"checkpoint-{share:g}.safetensors",
            pictures=folder / f"pictures-{share:g}",
        )
        model.save(path)
    return CausalDiffAE.load(path)


def ours(share: float, folder: Path) -> dict[str, Any]:
    """Score the model, and draw what it does."""
    model = fitted(share, folder)
    images, table = testing(UNITS)
    draw(model, images[:8], table[:8], folder / f"interventions-{share:g}.png")
    actions = tuple(ACTIONS) if share == 1.0 else ("angle", "light")
    found = scored(model.scm.counterfactual, actions=actions)
    return found | {"steps": STEPS if share == 1.0 else SHORT}


def untrained(folder: Path) -> dict[str, Any]:
    """Score the model with the encoder as it was before training."""
    model = fitted(1.0, folder)
    fresh = CausalDiffAE(GRAPH, SHAPE)
    model.program.encoder.load_state_dict(fresh.program.encoder.state_dict())
    return scored(model.scm.counterfactual, actions=("light",))


@cache
def deep_scm() -> DeepSCMResult:
    """Return a deep SCM, trained on the same images."""
    images, labels = training(1.0)
    return DeepSCM(GRAPH, SHAPE).fit(images, labels, steps=VAE_STEPS, progress=False, seed=SEED)


def vae(residual: bool) -> dict[str, Any]:
    """Score a deep SCM with a variational autoencoder, labels given as evidence."""
    result, labels = deep_scm(), datasets.pendulum(1)[1]
    imagine: Imagine = result.scm.counterfactual if residual else result.smooth
    return scored(imagine, seen=tuple(map(str, labels)))


def scored(
    imagine: Imagine, seen: tuple[str, ...] = (), actions: tuple[str, ...] = tuple(ACTIONS)
) -> dict[str, Any]:
    """Return the scores of counterfactual images under each intervention."""
    images, table = testing(UNITS)
    found = {}
    for name in actions:
        scores: ImageScores = score_images(
            imagine,
            images,
            table,
            {name: ACTIONS[name]},
            truth=datasets.pendulum_scm(),
            measure=datasets.measure_pendulum,
            render=datasets.render_pendulum,
            seen=seen,
        )
        found[name] = vars(scores)
    return {"scores": found}


def causes(share: float, mechanism: Any) -> dict[str, Any]:
    """Score encoder and mechanisms alone: what the SCM says of the causes, images left aside."""
    images, labels = training(share)
    model = CausalDiffAE(GRAPH, SHAPE, mechanism=mechanism, steps=1)
    model.fit(images, labels, steps=1, progress=False)
    tested, table = testing(500)
    codes = model.encode(tested)
    errors = {}
    for name in ("angle", "light"):
        value = torch.full((len(table),), ACTIONS[name])
        evidence = {"image": tested}
        told = model.scm.counterfactual(evidence, {name: value})
        true = datasets.pendulum_scm().counterfactual(table, {name: value})
        errors[name] = {
            child: float((told[child] - true[child]).abs().mean())
            for child in ("length", "position")
        }
    return {
        "errors": errors,
        "factual": {n: float((codes[n] - table[n]).abs().mean()) for n in table},
        "dci": dci(codes.to_numpy(), table.to_numpy()),
    }


def draw(model: CausalDiffAE, images: Tensor, table: pd.DataFrame, path: Path) -> None:
    """Draw a grid of interventions on units, with what is measured on each image."""
    from pyrocausal.models.causal_diffae_pictures import intervention_grid

    worlds = {f"do({name} = {value:g})": {name: value} for name, value in ACTIONS.items()}
    figure = intervention_grid(model, images, worlds, measure=datasets.measure_pendulum)
    figure.savefig(path, dpi=110)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(folder: Path, results: list[dict[str, Any]]) -> None:
    """Write the section of RESULTS.md."""
    path = Path(__file__).with_name("RESULTS.md")
    heading = causal_diffae_table.HEADING
    before, _, after = path.read_text().partition(f"{heading}\n")
    _, found, rest = after.partition("\n## ")
    section = [heading, "", *causal_diffae_table.rows(results)]
    text = "\n".join([before.rstrip(), "", *section]) + "\n" + (f"\n## {rest}" if found else "")
    temporary = path.with_suffix(f".{os.getpid()}")  # another program may read it meanwhile
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    main()
