"""Each data set reproduces the published or stated figures; missing files are explained."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pyrocausal import datasets
from pyrocausal.datasets.files import VARIABLE, read_table
from pyrocausal.datasets.images import read_idx

if TYPE_CHECKING:
    import pandas as pd

needs_data = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"{VARIABLE} is not set: the data set isn't shipped."
)


def least_squares(outcome: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Return the coefficients of ``columns``; the intercept is left out."""
    design = np.column_stack([np.ones(len(outcome)), *columns])
    coefficients: np.ndarray = np.linalg.lstsq(design, outcome, rcond=None)[0]
    return coefficients[1:]


def logistic_probabilities(label: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Return the fitted probabilities of a logistic regression (Newton's method)."""
    design = np.column_stack([np.ones(len(label)), *columns])
    weights = np.zeros(design.shape[1])
    for _ in range(25):
        mean = 1 / (1 + np.exp(-design @ weights))
        curvature = design.T @ (design * (mean * (1 - mean))[:, None])
        weights += np.linalg.solve(curvature, design.T @ (label - mean))
    return 1 / (1 + np.exp(-design @ weights))


def naive_difference(table: "pd.DataFrame", treatment: str, outcome: str) -> float:
    """Return the difference of the group means."""
    means = table.groupby(treatment)[outcome].mean()
    return float(means[1] - means[0])


# ---------------------------------------------------------------- shipped


@pytest.fixture(scope="module")
def quitters() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return treatment, outcome and adjustment set of NHEFS, as the book builds it."""
    table = datasets.nhefs()
    numbers = [table[name].to_numpy() for name in ("age", "smokeintensity", "smokeyrs", "wt71")]
    codes = [
        (table[name] == code).to_numpy(float)
        for name in ("education", "exercise", "active")
        for code in sorted(table[name].unique())[1:]
    ]
    binary = [table[name].to_numpy(float) for name in ("sex", "race")]
    covariates = [*binary, *codes, *numbers, *(number**2 for number in numbers)]
    return table["qsmk"].to_numpy(), table["wt82_71"].to_numpy(), covariates


def test_nhefs_has_the_naive_difference_of_the_book() -> None:
    table = datasets.nhefs()
    assert table.shape == (1566, 67)
    assert table["qsmk"].sum() == 403
    means = table.groupby("qsmk")["wt82_71"].mean()
    assert means.to_numpy() == pytest.approx([1.98, 4.53], abs=0.006)


def test_nhefs_gives_the_weighted_effect_of_the_book(
    quitters: tuple[np.ndarray, np.ndarray, list[np.ndarray]],
) -> None:
    treatment, outcome, covariates = quitters
    propensity = logistic_probabilities(treatment, *covariates)
    quit_, stayed = treatment / propensity, (1 - treatment) / (1 - propensity)
    effect = np.average(outcome, weights=quit_) - np.average(outcome, weights=stayed)
    assert effect == pytest.approx(3.44, abs=0.006)


def test_nhefs_gives_the_regression_effect_of_the_book(
    quitters: tuple[np.ndarray, np.ndarray, list[np.ndarray]],
) -> None:
    treatment, outcome, covariates = quitters
    assert least_squares(outcome, treatment, *covariates)[0] == pytest.approx(3.46, abs=0.006)


def test_nhefs_codebook_describes_the_adjustment_set() -> None:
    described = set(datasets.nhefs_codebook()["variable"])
    assert described >= {"sex", "race", "age", "education", "smokeintensity", "smokeyrs", "wt71"}


def test_close_college_gives_the_published_returns_to_schooling() -> None:
    table = datasets.close_college()
    assert table.shape == (3010, 8)
    complete = table.dropna()
    assert len(complete) == 3003
    columns = complete[["exper", "black", "south", "married", "smsa"]]
    controls = [columns[name].to_numpy(float) for name in columns]
    near, school, wage = (complete[name].to_numpy(float) for name in ("nearc4", "educ", "lwage"))
    first_stage = least_squares(school, near, *controls)[0]
    assert least_squares(wage, school, *controls)[0] == pytest.approx(0.071, abs=6e-4)
    assert first_stage == pytest.approx(0.327, abs=6e-4)
    reduced_form = least_squares(wage, near, *controls)[0]
    assert reduced_form / first_stage == pytest.approx(0.124, abs=6e-4)


def test_thornton_hiv_gives_the_effect_of_the_experiment() -> None:
    table = datasets.thornton_hiv()
    assert table.shape == (4820, 7)
    assert (table["hiv2004"] == -1).sum() == 14
    known = table.dropna(subset=["got", "any"])
    assert len(known) == 2834
    assert known.groupby("any")["got"].mean().to_numpy() == pytest.approx([0.339, 0.789], abs=6e-4)


# ---------------------------------------------------------------- not shipped


@needs_data
@pytest.mark.parametrize(
    ("replication", "true", "naive", "linear"),
    [
        (1, 4.0161, 4.0211, 3.9287),
        (2, 4.0508, 4.0814, 3.8994),
        (3, 4.0992, 4.1942, 3.9350),
        (4, 4.2737, 4.2715, 3.9067),
        (5, 4.1624, 4.2292, 4.1765),
    ],
)
def test_ihdp_has_the_stated_effects(
    replication: int, true: float, naive: float, linear: float
) -> None:
    table = datasets.ihdp(replication)
    assert table.shape == (747, 30)
    effect = table["mu1"] - table["mu0"]
    assert effect.mean() == pytest.approx(true, abs=6e-5)
    assert effect[table["treatment"] == 1].mean() == pytest.approx(4.0, abs=6e-5)
    assert naive_difference(table, "treatment", "y_factual") == pytest.approx(naive, abs=6e-5)
    covariates = [table[f"x{number}"].to_numpy(float) for number in range(1, 26)]
    treatment, outcome = table["treatment"].to_numpy(float), table["y_factual"].to_numpy()
    assert least_squares(outcome, treatment, *covariates)[0] == pytest.approx(linear, abs=6e-5)


@needs_data
def test_twins_have_the_stated_effects() -> None:
    table = datasets.twins()
    assert table.shape == (11984, 81)
    assert table[["y0", "y1", "T"]].mean().to_numpy() == pytest.approx(
        [0.1894, 0.1642, 0.7457], abs=6e-5
    )
    effect = table["y1"] - table["y0"]
    assert effect[table["T"] == 1].mean() == pytest.approx(-0.0243, abs=6e-5)
    assert naive_difference(table, "T", "yf") == pytest.approx(-0.1121, abs=6e-5)
    assert (table["yf"] == table["y1"].where(table["T"] == 1, table["y0"])).all()


@needs_data
def test_twin_pairs_have_the_stated_effect() -> None:
    pairs = datasets.twin_pairs()
    assert pairs.shape == (71345, 4)
    assert pairs[["mort_0", "mort_1"]].mean().to_numpy() == pytest.approx(
        [0.0395, 0.0324], abs=6e-5
    )
    assert (pairs["dbirwt_0"] <= pairs["dbirwt_1"]).all()


@needs_data
@pytest.mark.parametrize(
    ("setting", "treated", "average", "on_treated", "naive"),
    [
        (1, 858, 2.128, 2.722, 3.582),
        (2, 1497, 4.679, 4.679, 5.199),
        (8, 1237, 1.521, 1.444, 0.896),
        (10, 1191, 4.223, 4.969, 4.432),
    ],
)
def test_acic2016_has_the_stated_effects(
    setting: int, treated: int, average: float, on_treated: float, naive: float
) -> None:
    table = datasets.acic2016(setting)
    assert table.shape == (4802, 64)
    assert table["z"].sum() == treated
    effect = table["mu1"] - table["mu0"]
    assert effect.mean() == pytest.approx(average, abs=6e-4)
    assert effect[table["z"] == 1].mean() == pytest.approx(on_treated, abs=6e-4)
    assert naive_difference(table, "z", "y") == pytest.approx(naive, abs=6e-4)


@needs_data
def test_sachs_has_the_stated_rows_and_means() -> None:
    everything, observed = datasets.sachs(observational=False), datasets.sachs()
    assert everything.shape == (7466, 11)
    assert observed.equals(everything.iloc[:853])
    means = everything[["Raf", "Mek", "Erk", "Akt", "PKA", "PKC"]].mean()
    assert means.to_numpy() == pytest.approx([124.1, 145.4, 26.6, 81.2, 625.8, 30.3], abs=0.06)


@needs_data
def test_sachs_graphs_share_thirteen_edges() -> None:
    bnlearn, cdt = datasets.sachs_edges("bnlearn"), datasets.sachs_edges("cdt")
    assert (len(bnlearn), len(cdt), len(set(bnlearn) & set(cdt))) == (17, 18, 13)
    assert {name for edge in bnlearn + cdt for name in edge} == set(datasets.sachs().columns)
    with pytest.raises(ValueError, match="There is no graph 'dag'; the graphs are"):
        datasets.sachs_edges("dag")  # type: ignore[arg-type]


@needs_data
def test_every_tuebingen_pair_has_the_stated_number_of_rows() -> None:
    pairs = datasets.tuebingen_pairs()
    assert len(pairs) == 20
    for number, rows in pairs["rows"].items():
        assert isinstance(number, int)
        table = datasets.tuebingen(number)
        assert table.shape == (rows, 2)
        assert list(table.columns) == ["cause", "effect"]
        assert np.isfinite(table.to_numpy()).all()


@needs_data
def test_unknown_tuebingen_pair_says_which_file_is_missing() -> None:
    with pytest.raises(FileNotFoundError, match=r"tuebingen.pair0002\.csv"):
        datasets.tuebingen(2)


@needs_data
def test_morphomnist_has_the_stated_figures() -> None:
    train, test = datasets.morphomnist("train"), datasets.morphomnist("test")
    assert train.images.shape == (8000, 28, 28)
    assert test.images.shape == (2000, 28, 28)
    assert train.images.dtype == torch.uint8
    columns = ["thickness", "intensity", "digit"]
    table = np.concatenate([split.attributes[columns].to_numpy() for split in (train, test)])
    assert table.mean(0)[:2] == pytest.approx([2.506, 158.53], abs=6e-3)
    assert table.std(0)[:2] == pytest.approx([0.633, 48.51], abs=6e-3)
    assert np.corrcoef(table[:, 0], table[:, 1])[0, 1] == pytest.approx(0.908, abs=6e-4)
    assert set(table[:, 2]) == set(range(10))
    with pytest.raises(ValueError, match="There is no split 'all'; the splits are"):
        datasets.morphomnist("all")  # type: ignore[arg-type]


@needs_data
def test_morphomnist_images_and_attributes_are_in_the_same_order() -> None:
    split = datasets.morphomnist("test")
    pixels = split.images.flatten(1).double()
    stroke = pixels.where(pixels >= pixels.amax(1, keepdim=True) / 2, torch.nan)
    measured = stroke.nanquantile(0.5, dim=1).numpy()
    error = np.abs(measured - split.attributes["intensity"].to_numpy())
    assert error.mean() == pytest.approx(0.51, abs=0.02)


@needs_data
def test_morphomnist_attributes_have_the_stated_figures() -> None:
    table = datasets.morphomnist_attributes()
    assert len(table) == 60000
    assert table[["thickness", "intensity"]].mean().to_numpy() == pytest.approx(
        [2.503, 158.02], abs=6e-3
    )
    assert table["thickness"].corr(table["intensity"]) == pytest.approx(0.908, abs=6e-4)
    # MNIST's training set: 5923 zeros, 6742 ones.
    assert table["digit"].value_counts()[[0, 1]].tolist() == [5923, 6742]


# ---------------------------------------------------------------- files


def test_without_a_folder_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=f"Set {VARIABLE}.*AMLab-Amsterdam/CEVAE"):
        datasets.ihdp()


@pytest.mark.parametrize(
    ("load", "file", "project"),
    [
        (datasets.ihdp, "ihdp_npci_1.csv", "AMLab-Amsterdam/CEVAE"),
        (datasets.twins, "twins_lt2kg.csv.gz", "shalit-lab/Benchmarks"),
        (datasets.twin_pairs, "twin_pairs_T_3years_samesex.csv", "AMLab-Amsterdam/CEVAE"),
        (datasets.acic2016, "zymu_1.csv", "BiomedSciAI/causallib"),
        (datasets.sachs, "sachs_observational_853.csv", "CausalDiscoveryToolbox"),
        (datasets.sachs_edges, "edges_bnlearn_17.csv", "py-why/causal-learn"),
        (datasets.tuebingen_pairs, "pairmeta.csv", "CausalDiscoveryToolbox"),
        (datasets.morphomnist, "t10k-images-idx3-ubyte.gz", "biomedia-mira/deepscm"),
        (datasets.morphomnist_attributes, "train-morpho.csv.gz", "biomedia-mira/deepscm"),
    ],
)
def test_missing_file_is_named_with_the_project_that_has_it(
    load: Callable[..., object], file: str, project: str, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError) as failure:
        load(folder=tmp_path)
    assert str(tmp_path) in str(failure.value)
    assert file in str(failure.value)
    assert project in str(failure.value)


def test_table_without_its_header_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("1,2.5\n0,1.5\n")
    with pytest.raises(ValueError, match=r"no column \['treatment', 'y'\].*header line"):
        read_table(path, ["treatment", "y"])


def idx(*sizes: int, data: bytes, kind: int = 8) -> bytes:
    """Return the content of an idx file."""
    head = bytes([0, 0, kind, len(sizes)])
    return gzip.compress(head + b"".join(size.to_bytes(4, "big") for size in sizes) + data)


def test_idx_file_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(idx(2, 1, 3, data=bytes([0, 1, 2, 253, 254, 255])))
    assert read_idx(path).tolist() == [[[0, 1, 2]], [[253, 254, 255]]]


def test_truncated_idx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(idx(2, 3, data=bytes(5)))
    with pytest.raises(ValueError, match="holds 5 bytes"):
        read_idx(path)


def test_idx_file_of_another_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(idx(1, data=bytes(4), kind=0x0D))
    with pytest.raises(ValueError, match="no idx file of unsigned bytes"):
        read_idx(path)
