"""Fits from files: the same as from memory, each unit as often, and in bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import least_squares, line, line_data, param, parameters, positive, state
from torch import Tensor

import pyrocausal as pc
from pyrocausal.fitting import streaming
from pyrocausal.fitting.paths import Paths

pa = pytest.importorskip("pyarrow", reason="needs pyarrow, the extra 'distributed'")
ds = pytest.importorskip("pyarrow.dataset")
feather = pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")


def table_of(data: dict[str, Any], **others: Any) -> Any:
    return pa.table({**{name: v.numpy() for name, v in data.items()}, **others})


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream what would fit into memory: windows of 200 units, 60 held out at most."""
    for name, value in {"_WINDOW": 200, "WHOLE": 100, "HELD_OUT": 60}.items():
        monkeypatch.setattr(streaming, name, value)


OPTIONS: dict[str, Any] = {"steps": 60, "batch_size": 20, "lr": 0.05, "seed": 0}


def test_a_file_that_is_small_gives_the_fit_of_its_table(tmp_path: Path) -> None:
    data, path = line_data(300), tmp_path / "units.parquet"
    pq.write_table(table_of(data, ward=["a"] * 300), path, row_group_size=70)
    one, other, third = pc.SCM(line), pc.SCM(line), pc.SCM(line)
    expected = one.fit(data, **OPTIONS)
    assert torch.equal(other.fit(path, **OPTIONS).losses, expected.losses)
    assert torch.equal(third.fit(ds.dataset(path), **OPTIONS).losses, expected.losses)
    assert all(torch.equal(state(other)[k], v) for k, v in state(one).items())


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_streamed_fit_finds_the_closed_form(kind: str, tmp_path: Path) -> None:
    data = line_data(4000)
    table = table_of(data)
    for part in range(2):
        path, rows = tmp_path / f"{part}.{kind}", table.slice(2000 * part, 2000)
        if kind == "parquet":
            pq.write_table(rows, path, row_group_size=150)
        else:
            feather.write_feather(rows, path, chunksize=150, compression="lz4")
    scm = pc.SCM(line)
    report = scm.fit(tmp_path, **{**OPTIONS, "steps": 800, "batch_size": 100, "validation": 0.05})
    assert 3940 <= report.units <= 3960
    assert report.units + report.held_out == 4000
    intercept, slope, scale = least_squares(data["x"], data["y"])
    found = parameters(scm)
    # Of 4000 units: three standard errors, 0.5/sqrt(4000), for what batches and gaps leave.
    assert found["intercept"] == pytest.approx(intercept, abs=0.03)
    assert found["slope"] == pytest.approx(slope, abs=0.03)
    assert found["scale"] == pytest.approx(scale, abs=0.03)
    assert report.total is not None
    assert report.total.gain > 1.0


def numbered(seen: list[Tensor], held: list[Tensor]) -> Any:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("m"), 1000.0))
        pyro.deterministic("note", x)

    def noting(self: Paths, rows: Any, *args: Any) -> list[Tensor]:
        seen.extend(self.loss.data[0][each].clone() for each in rows)
        held.append(self.loss.data[0][200:].clone())  # behind the window
        return take(self, rows, *args)

    take = Paths.take
    return program, noting


@pytest.mark.usefixtures("small_windows")
def test_each_unit_is_taken_once_an_epoch_and_held_out_ones_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen, held = tmp_path / "units.parquet", list[Tensor](), list[Tensor]()
    pq.write_table(table_of({"x": torch.arange(1000.0)}), path, row_group_size=64)
    program, noting = numbered(seen, held)
    monkeypatch.setattr(Paths, "take", noting)
    options = {**OPTIONS, "steps": 98, "validation": 0.02, "compile": False}
    report = pc.SCM(program).fit(path, **options)
    rows = torch.cat(seen)
    assert (report.units, report.held_out, len(rows)) == (980, 20, 1960)
    first, second = rows[:980], rows[980:]
    # Windows of 200 are shuffled, so that an epoch's last units may come with the next one's.
    assert len(first[:800].unique()) == 800
    assert len(rows.unique()) == 980
    assert not set(rows.tolist()) & set(held[0].tolist())
    assert int(torch.unique(rows[:1800], return_counts=True)[1].max()) == 2
    assert not torch.equal(first[:100], second[:100])
    # Shuffled: neighbours in a batch are not neighbours in the file.
    assert (rows[:200].diff().abs() == 1).float().mean() < 0.1


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("compile", [False, "auto"])
def test_a_streamed_fit_goes_on_from_a_checkpoint_bit_by_bit(
    compile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "units.parquet"
    pq.write_table(table_of(line_data(1000)), path, row_group_size=128)
    options = {**OPTIONS, "steps": 75, "compile": compile}
    if compile == "auto":
        monkeypatch.setattr("pyrocausal.fitting.paths.worth_capturing", lambda *_: True)
        monkeypatch.setattr(Paths, "_compile", lambda *_: None)
    whole = pc.SCM(line)
    expected = whole.fit(path, **options)
    take, taken = Paths.take, 0

    def until(self: Paths, *args: Any) -> list[Tensor]:
        nonlocal taken
        taken += 1
        if taken == 48:
            raise KeyError
        return take(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Paths, "take", until)
        with pytest.raises(KeyError):
            pc.SCM(line).fit(path, **options, checkpoint=tmp_path / "kept", every=9)
    scm = pc.SCM(line)
    found = scm.fit(path, **options, checkpoint=tmp_path / "kept", every=9)
    assert torch.equal(found.losses, expected.losses)
    assert all(torch.equal(state(scm)[name], v) for name, v in state(whole).items())
    other = line_data(1000, seed=1)
    pq.write_table(table_of(other), path, row_group_size=128)
    with pytest.raises(ValueError, match="the data of 'file 0' is not the same"):
        pc.SCM(line).fit(path, **options, checkpoint=tmp_path / "kept")


def regression(dose: Tensor, offset: float = 0.0) -> None:
    """An input, a vector and what they bring: x -> y."""
    x = pyro.sample("x", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    loc = x @ pyro.param("w", torch.zeros(2)) + param("b") * dose + offset
    pyro.sample("y", dist.Normal(loc, positive("s")))


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("lists", [False, True])
def test_vectors_inputs_and_nulls_are_read_from_columns(lists: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, dose = torch.randn(2000, 2), torch.rand(2000)
    y = x @ torch.tensor([1.0, -1.0]) + 2 * dose + 0.1 * torch.randn(2000) + 5.0
    gaps = np.arange(2000) % 7 == 0
    columns: dict[str, Any] = {"dose": dose.numpy(), "y": pa.array(y.numpy(), mask=gaps)}
    if lists:
        columns["x"] = pa.FixedSizeListArray.from_arrays(x.numpy().reshape(-1), 2)
    else:
        columns |= {"x[0]": x[:, 0].numpy(), "x[1]": x[:, 1].numpy()}
    pq.write_table(pa.table(columns), tmp_path / "units.parquet", row_group_size=333)
    scm = pc.SCM(regression)
    options = {**OPTIONS, "steps": 600, "validation": 0.0}
    scm.fit(tmp_path / "units.parquet", inputs={"offset": 5.0}, **options)
    found = state(scm)
    torch.testing.assert_close(found["w"], torch.tensor([1.0, -1.0]), atol=0.03, rtol=0)
    assert found["b"].item() == pytest.approx(2.0, abs=0.06)


@pytest.mark.usefixtures("small_windows")
def test_what_is_first_missing_late_is_refused(tmp_path: Path) -> None:
    data = line_data(1000)
    data["y"][700] = torch.nan
    pq.write_table(table_of(data), tmp_path / "units.parquet", row_group_size=1000)
    with pytest.raises(ValueError, match=r"NaN for 'y' after row .*Write NaN as null"):
        pc.SCM(line).fit(tmp_path / "units.parquet", **OPTIONS, validation=0.0)


@pytest.mark.usefixtures("small_windows")
def test_a_value_out_of_reach_is_found_when_its_window_comes(tmp_path: Path) -> None:
    def program() -> None:
        pyro.sample("x", dist.Bernoulli(logits=param("l")))

    x = torch.ones(1000)
    x[700] = 2.0
    pq.write_table(table_of({"x": x}), tmp_path / "units.parquet")
    with pytest.raises(ValueError, match="Bernoulli can't take 2"):
        pc.SCM(program).fit(tmp_path / "units.parquet", **OPTIONS, validation=0.0)


def test_files_that_are_no_data_are_refused_in_words(tmp_path: Path) -> None:
    scm, data = pc.SCM(line), line_data(50)
    with pytest.raises(FileNotFoundError, match=r"There is no file or folder .*none.parquet"):
        scm.fit(tmp_path / "none.parquet")
    with pytest.raises(FileNotFoundError, match="no files in"):
        scm.fit(tmp_path)
    (tmp_path / "text.parquet").write_text("x,y\n1,2\n")
    with pytest.raises(OSError, match=r"text.parquet can't be read"):
        scm.fit(tmp_path / "text.parquet")
    pq.write_table(table_of({"x": data["x"]}, y=["a"] * 50), tmp_path / "words.parquet")
    with pytest.raises(TypeError, match=r"column 'y' of .*words.parquet holds string"):
        scm.fit(tmp_path / "words.parquet")
    pq.write_table(table_of({"z": data["x"]}), tmp_path / "other.parquet")
    with pytest.raises(
        ValueError, match=r"none of the program's variables, x, y. Its columns are z"
    ):
        scm.fit(tmp_path / "other.parquet")


def test_an_open_question_about_parameters_needs_all_data_at_hand(tmp_path: Path) -> None:
    pq.write_table(table_of(line_data(50)), tmp_path / "units.parquet")
    with pytest.raises(ValueError, match=r"uncertainty.*in memory"):
        pc.SCM(line).fit(tmp_path / "units.parquet", uncertainty="sandwich", **OPTIONS)
