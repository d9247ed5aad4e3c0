"""Counterfactuals of files larger than memory: ``python -m benchmarks.files``.

Units per second and peak memory of the streaming path, beside a run that reads the same file as a
whole, asks, and writes one file.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch

import pyrocausal as pc

WORLDS = [{"dose": 0.0}, {"dose": 1.0}]


def chain() -> None:
    """Three variables: age -> dose -> effect, age -> effect."""
    age = pyro.sample("age", dist.Normal(0.0, 1.0))
    dose = pyro.sample("dose", dist.Normal(age, 1.0))
    pyro.sample("effect", dist.Normal(2 * dose - age, 0.5))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=20_000_000)
    parser.add_argument("--way", choices=["streamed", "in memory"], help="one of them, for itself")
    parser.add_argument("--folder", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.way:
        print(json.dumps(_measured(arguments.way, Path(arguments.folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        pc.distributed.sample(pc.SCM(chain), arguments.units, f"{folder}/seen", seed=0)
        print(
            "| way | units | wall, s | processor, s | units / processor s | peak over idle, GB |"
        )
        print("|---|---|---|---|---|---|")
        for way in ("streamed", "in memory"):
            run = [sys.executable, "-m", "benchmarks.files", "--way", way, "--folder", folder]
            found = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
            wall, cpu, peak = found
            print(
                f"| {way} | {arguments.units:,} | {wall:.1f} | {cpu:.1f} "
                f"| {arguments.units / cpu:,.0f} | {peak:.2f} |",
                flush=True,
            )


def _measured(way: str, folder: Path) -> tuple[float, float, float]:
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    from pyrocausal.distributed.tables import table_of

    model = pc.SCM(chain)
    model.counterfactual({"age": 0.0, "dose": 0.0, "effect": 0.0}, WORLDS, seed=0)
    idle, started, used = _peak(), time.perf_counter(), time.process_time()
    if way == "streamed":
        pc.distributed.counterfactual(model, folder / "seen", WORLDS, folder / "out", seed=0)
    else:
        table = ds.dataset(folder / "seen").to_table(columns=["age", "dose", "effect"])
        seen = {name: table.column(name).to_numpy() for name in table.column_names}
        answer = model.counterfactual(seen, WORLDS, seed=0)
        written = table_of(answer, 0, table.num_rows, {})
        pq.write_table(written, folder / "whole.parquet", use_dictionary=["world"])
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    return wall, cpu, (_peak() - idle) / 2**30


def _peak() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
