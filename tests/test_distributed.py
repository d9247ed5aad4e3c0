"""Questions of files: the answers of memory, written once and whole, whatever goes wrong."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.distributed import chunks
from pyrocausal.distributed.sources import open_source
from pyrocausal.writing import replacing

pa = pytest.importorskip("pyarrow", reason="needs pyarrow, the extra 'distributed'")
feather = pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")

WORLDS = [{"dose": 0.0}, {"dose": pc.shift(1.0)}]


def chain() -> None:
    """A chain with a shortcut: age -> dose -> effect, age -> effect."""
    age = pyro.sample("age", dist.Normal(0.0, 1.0))
    dose = pyro.sample("dose", dist.Normal(age, 1.0))
    pyro.sample("effect", dist.Normal(2 * dose - age, 0.5))


@pytest.fixture
def seen() -> dict[str, Tensor]:
    return dict(pc.SCM(chain).sample(1000, seed=0))


@pytest.fixture
def source(seen: dict[str, Tensor], tmp_path: Path) -> Path:
    """Three files of uneven row groups, with columns besides."""
    table = pa.table({"id": np.arange(1000) + 7, **{n: v.numpy() for n, v in seen.items()}})
    (tmp_path / "seen").mkdir()
    for part, (first, rows) in enumerate([(0, 450), (450, 50), (500, 500)]):
        file = tmp_path / "seen" / f"part{part}.parquet"
        pq.write_table(table.slice(first, rows), file, row_group_size=130)
    return tmp_path / "seen"


def columns(written: pc.distributed.Written) -> dict[str, Any]:
    table = written.dataset().to_table()
    return {name: table.column(name).to_numpy() for name in table.column_names}


def test_counterfactuals_of_files_are_those_of_the_table(
    seen: dict[str, Tensor], source: Path, tmp_path: Path
) -> None:
    model = pc.SCM(chain)
    written = pc.distributed.counterfactual(
        model, source, WORLDS, tmp_path / "out", rows=100, keep="id", seed=0
    )
    expected = model.counterfactual(seen, WORLDS, seed=0)
    found = columns(written)
    assert (written.units, written.rows, written.skipped) == (1000, 2000, 0)
    order = np.lexsort((found["unit"], found["world"]))
    assert np.array_equal(found["unit"][order], np.tile(np.arange(1000), 2))
    assert np.array_equal(found["id"][order], np.tile(np.arange(1000) + 7, 2))
    for name in seen:
        # All is observed, so that no noise is left to chance.
        np.testing.assert_allclose(found[name][order], expected[name].reshape(-1), rtol=1e-6)
    assert "written: 2000 rows for 1000 units" in str(written)


def test_chunks_hold_every_unit_once_and_do_not_depend_on_the_machine(source: Path) -> None:
    opened = open_source(source)
    for rows in (1, 7, 100, 130, 131, 10_000):
        cut = chunks.cut(opened, rows)
        assert [c.number for c in cut] == list(range(len(cut)))
        assert max(c.rows for c in cut) <= max(rows, 1)
        ends = np.cumsum([c.rows for c in cut])
        assert [c.first for c in cut] == [0, *ends[:-1]]
        assert ends[-1] == opened.rows == 1000
    ids = [chunks.read(opened, c, ["id"]).column("id").to_numpy() for c in chunks.cut(opened, 99)]
    assert np.array_equal(np.concatenate(ids), np.arange(1000) + 7)


def test_each_chunk_draws_noise_of_its_own(source: Path, tmp_path: Path) -> None:
    def drawn(folder: str, **options: Any) -> Any:
        written = pc.distributed.counterfactual(
            pc.SCM(chain), source, {"age": 1.0}, tmp_path / folder, evidence=["dose"], **options
        )
        found = columns(written)
        order = np.argsort(found["unit"])
        return (found["effect"] - 2 * found["dose"])[order]

    one, again, other = (
        drawn(folder, rows=250, seed=seed) for folder, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    # The first two chunks are row groups of 130 units, which share no numbers.
    assert abs(np.corrcoef(one[:130], one[130:260])[0, 1]) < 4 / 130**0.5


def test_new_units_have_the_programs_law_and_take_arguments_from_files(tmp_path: Path) -> None:
    def priced(price: Tensor, tax: float) -> None:
        pyro.sample("spent", dist.Normal(price + tax, 0.1))

    price = np.linspace(0.0, 1.0, 500).astype(np.float32)
    pq.write_table(pa.table({"price": price}), tmp_path / "prices.parquet")
    written = pc.distributed.sample(
        pc.SCM(priced), tmp_path / "prices.parquet", tmp_path / "out", inputs={"tax": 3.0}, rows=77
    )
    spent = columns(written)["spent"]
    assert abs((spent - price).mean() - 3.0) < 4 * 0.1 / 500**0.5
    assert abs((spent - price).std() - 0.1) < 4 * 0.1 / 1000**0.5


def test_the_effect_is_the_mean_over_all_units(
    seen: dict[str, Tensor], source: Path, tmp_path: Path
) -> None:
    model = pc.SCM(chain)
    gains = model.counterfactual(seen, [{"age": 2.0}, {"age": 0.0}], seed=0)["effect"]
    gains = (gains[0] - gains[1]).double()
    ask: dict[str, Any] = {
        "outcome": "effect",
        "do": {"age": 2.0},
        "versus": {"age": 0.0},
        "seed": 0,
        "rows": 90,
    }
    here = pc.distributed.effect(model, source, **ask)
    kept = pc.distributed.effect(model, source, **ask, output=tmp_path / "sums")
    assert here.value == pytest.approx(gains.mean().item(), rel=1e-6)
    assert here.se == pytest.approx(gains.std().item() / 1000**0.5, abs=1e-6)
    assert (kept.value, kept.se) == (here.value, here.se)
    assert "1000 seen" in str(here)
    mixed = pc.distributed.effect(model, source, "effect", WORLDS[1], WORLDS[0], rows=90)
    known = seen["dose"].mean().item() * 2 + 2
    assert mixed.value == pytest.approx(known, rel=1e-5)


def test_a_model_in_a_file_and_arrow_files_are_read(tmp_path: Path) -> None:
    x = torch.linspace(-1.0, 1.0, 100)
    model = pc.SCM.from_graph([("x", "y")], data={"x": x, "y": 3 * x + 0.1 * x.flip(0)}, steps=50)
    model.save(tmp_path / "scm.safetensors")
    table = pa.table({"x": x.numpy(), "y": x.numpy()})
    feather.write_feather(table, tmp_path / "seen.arrow", chunksize=30)
    written = pc.distributed.counterfactual(
        tmp_path / "scm.safetensors", tmp_path / "seen.arrow", {"x": 0.0}, tmp_path / "out"
    )
    expected = model.counterfactual({"x": x, "y": x}, {"x": 0.0})["y"]
    np.testing.assert_allclose(columns(written)["y"], expected, atol=1e-6)


# ---------------------------------------------------------------- what goes wrong


def ask(source: Any, output: Path, **options: Any) -> pc.distributed.Written:
    settings: dict[str, Any] = {"rows": 100, "seed": 0, "do": WORLDS, **options}
    model = settings.pop("model", None) or pc.SCM(chain)
    return pc.distributed.counterfactual(model, source, settings.pop("do"), output, **settings)


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {f.name: (f.stat().st_mtime_ns, f.stat().st_ino) for f in folder.glob("chunk-*")}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_keeps_what_is_finished_and_a_rerun_does_the_rest(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = columns(ask(source, tmp_path / "whole"))
    count = 0

    def filling(path: Path) -> Any:
        nonlocal count
        count += 1
        if count == 5:
            Path("/dev/full").write_bytes(b"0")  # raises what a full disk raises
        return replacing(path)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("pyrocausal.distributed.outputs.replacing", filling)
        with pytest.raises(
            OSError, match=r"Chunk 3 can't be written.*No space.*make room"
        ) as told:
            ask(source, out)
    assert "chunk 3, units " in told.value.__notes__[0]
    before = files_of(out)
    assert len(before) == 3
    written = ask(source, out)
    assert written.skipped == 3
    assert before.items() <= files_of(out).items()  # not written again
    found = columns(written)
    assert all(np.array_equal(found[name], whole[name]) for name in whole)


def test_a_damaged_row_group_is_named_and_what_is_finished_is_kept(
    source: Path, tmp_path: Path
) -> None:
    file = source / "part2.parquet"
    content = bytearray(file.read_bytes())
    group = pq.ParquetFile(file).metadata.row_group(2)
    start = group.column(1).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    file.write_bytes(bytes(content))
    with pytest.raises(OSError, match=r"part2.parquet, row group 2, can't be read"):
        ask(source, tmp_path / "out")
    assert len(files_of(tmp_path / "out")) >= 8
    file.write_bytes(bytes(content[:-20]))
    with pytest.raises(OSError, match=r"part2.parquet"):
        ask(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


OTHER_FILES = {
    "no column": ({"age": [1.0], "dose": [1.0]}, ValueError, "no column 'effect'. It has: age"),
    "words": (
        {"age": [1.0], "dose": [1.0], "effect": ["a"]},
        TypeError,
        "column 'effect' of .* holds string; expected numbers",
    ),
}


@pytest.mark.parametrize("case", OTHER_FILES)
def test_columns_that_do_not_fit_are_refused_before_anything_is_written(
    case: str, tmp_path: Path
) -> None:
    table, error, words = OTHER_FILES[case]
    pq.write_table(pa.table(table), tmp_path / "seen.parquet")
    with pytest.raises(error, match=words):
        ask(tmp_path / "seen.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("other", [{"x": [1.0]}, {"age": [1], "dose": [1.0], "effect": [1.0]}])
def test_a_file_that_differs_from_the_others_is_named_before_the_first_chunk(
    other: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    pq.write_table(pa.table(other), source / "part3.parquet")
    with pytest.raises((TypeError, ValueError), match=r"part3.parquet.* 'age'|'age'.*part3"):
        ask(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def steeper() -> None:
    """The chain with another formula."""
    age = pyro.sample("age", dist.Normal(0.0, 1.0))
    dose = pyro.sample("dose", dist.Normal(age, 1.0))
    pyro.sample("effect", dist.Normal(2.1 * dose - age, 0.5))


OTHER_QUERIES: dict[str, tuple[dict[str, Any], str]] = {
    "do": ({"do": [{"dose": 0.0}, {"dose": pc.shift(2.0)}]}, "'do' is .*dose.*2 and was"),
    "policy": ({"do": [{"dose": 0.0}, {"dose": pc.edit(lambda d: d + 3)}]}, "the question's 'do'"),
    "program": ({"model": pc.SCM(steeper)}, "the answer at the first units for 'effect' is"),
    "seed": ({"seed": 1}, "'seed' is 1 and was 0"),
    "chunks": ({"rows": 99}, "'units of a chunk' is 99 and was 100"),
    "variables": ({"variables": ["effect"]}, "'variables' is \\['effect'\\] and was None"),
}


@pytest.mark.parametrize("other", OTHER_QUERIES)
def test_a_folder_of_another_query_is_refused_with_the_difference(
    other: str, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ask(source, out)
    before = files_of(out)
    change, words = OTHER_QUERIES[other]
    with pytest.raises(ValueError, match=f"holds the results of another query: .*{words}"):
        ask(source, out, **change)
    assert files_of(out) == before
    pq.write_table(pq.read_table(source / "part1.parquet").slice(1), source / "part1.parquet")
    with pytest.raises(ValueError, match="'number of units' is 999 and was 1000"):
        ask(source, out)


def test_a_folder_of_other_files_is_left_alone(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds other files"):
        ask(source, source)
    with pytest.raises(NotADirectoryError, match="is a file"):
        ask(source, source / "part0.parquet")


def test_bad_evidence_says_in_which_chunk(source: Path, tmp_path: Path) -> None:
    table = pq.read_table(source / "part2.parquet")
    dose = table.column("dose").to_numpy().copy()
    dose[400] = np.inf
    table = table.set_column(2, "dose", pa.array(dose))
    pq.write_table(table, source / "part2.parquet", row_group_size=130)
    with pytest.raises(ValueError, match="infinity") as told:
        ask(source, tmp_path / "out")
    assert "units 890 to 989" in told.value.__notes__[0]


SCRIPT = """
import sys, torch
sys.path[:0] = {path!r}
torch.set_num_threads(1)
import pyrocausal as pc
from test_distributed import ask
print(ask(sys.argv[1], sys.argv[2], rows=10).skipped)
"""


@pytest.mark.slow
def test_a_query_that_was_killed_loses_and_doubles_nothing(source: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        SCRIPT.format(path=sys.path),
        str(source),
        str(tmp_path / "o"),
    ]
    whole = columns(ask(source, tmp_path / "whole", rows=10))
    run = subprocess.Popen(command)
    while len(files_of(tmp_path / "o")) < 10:
        assert run.poll() is None, "it was over before it could be killed"
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert 10 <= int(done.stdout) < 100
    found = columns(ask(source, tmp_path / "o", rows=10))
    assert all(np.array_equal(found[name], whole[name]) for name in whole)


# ---------------------------------------------------------------- a cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of the cluster's own threads at its end
def test_a_cluster_that_loses_a_worker_gives_the_same_answers(
    source: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("dask.distributed", reason="needs Dask: 'distributed'")
    cloudpickle = pytest.importorskip("cloudpickle")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    model = pc.SCM(chain)
    options: dict[str, Any] = {"evidence": ["dose"], "rows": 10, "seed": 0}
    worlds = [{"age": 1.0}, {"age": 0.0}]
    whole = columns(
        pc.distributed.counterfactual(model, source, worlds, tmp_path / "whole", **options)
    )
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(lambda: __import__("os").getpid())
        killer = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import os, sys, time, glob\n"
                f"while len(glob.glob({str(tmp_path / 'out' / 'chunk-*')!r})) < 10: time.sleep(0.01)\n"
                f"os.kill({next(iter(pids.values()))}, 9)",
            ]
        )
        written = pc.distributed.counterfactual(
            model, source, worlds, tmp_path / "out", cluster=client, **options
        )
        assert killer.wait(30) == 0
    found = columns(written)
    assert written.skipped == 0
    assert all(np.array_equal(found[name], whole[name]) for name in whole)
    assert {f.suffix for f in (tmp_path / "out").iterdir()} == {".parquet", ".json"}


def test_a_cluster_that_is_none_is_refused(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("dask.distributed", reason="needs Dask: 'distributed'")
    with pytest.raises(TypeError, match=r"cluster is 2.5; expected a number of processes"):
        ask(source, tmp_path / "out", cluster=2.5)
    model = pc.SCM(chain).do(age=1.0)
    with pytest.raises(ValueError, match="can't be sent to a cluster: it is no plain SCM"):
        pc.distributed.sample(model, 10, tmp_path / "two", cluster=2)
    assert not (tmp_path / "two").exists()
