"""Fits that torchrun shares among processes: what one process finds with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from shared_fits import FITS, fitted
from torch import Tensor

from pyrocausal.fitting.keyed_noise import KeyedNoise
from pyrocausal.fitting.team import Team

Found = dict[str, dict[str, Any]]
SINGLE = "latent, SGD:float32:60"


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[tuple[int, int], Found], Path, str]:
    """What each process found, alone and of two; their folder, and what two of them printed."""
    if not torch.distributed.is_gloo_available():
        pytest.skip("torch has no gloo here")
    folder = tmp_path_factory.mktemp("shared")
    script = Path(__file__).with_name("shared_fits.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    for processes in (1, 2):
        run = subprocess.run(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
                *(f"--nproc-per-node={processes}", str(script), str(folder), *FITS, SINGLE),
            ],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert run.returncode == 0, run.stderr
    found = {
        (rank, size): torch.load(folder / f"{rank}-of-{size}.pt")
        for rank, size in ((0, 1), (0, 2), (1, 2))
    }
    return found, folder, run.stderr


@pytest.mark.slow
def test_two_processes_find_what_one_finds(runs: Any) -> None:
    found, _, _ = runs
    for name in FITS:
        one, two, other = (found[key][name] for key in ((0, 1), (0, 2), (1, 2)))
        assert len(one) > 1
        way = "replayed" if name == "replayed" else "eager"
        assert [each.pop("path") for each in (one, two, other)] == [way] * 3
        for key in one:
            torch.testing.assert_close(two[key], one[key], rtol=1e-6, atol=1e-9)
            assert torch.equal(two[key], other[key])  # all processes have the same, bit by bit
    for key in ("a", "b", "s", "e", "f", "t"):
        one, two = found[0, 1][SINGLE][key], found[0, 2][SINGLE][key]
        torch.testing.assert_close(two, one, rtol=1e-5, atol=0.0)


@pytest.mark.slow
def test_without_noise_one_process_of_torchrun_finds_what_a_plain_fit_finds(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for name in ("observed", "uneven shares"):
            _, plain = fitted(name)
            assert plain.pop("path") == "eager"
            for key, value in plain.items():
                torch.testing.assert_close(runs[0][0, 2][name][key], value, rtol=1e-6, atol=1e-9)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.slow
def test_the_first_process_alone_shows_and_writes(runs: Any) -> None:
    found, folder, printed = runs
    assert printed.count("fit:   0%") == 1
    written = {p.relative_to(folder).parts[:2] for p in folder.glob("*/*/*.safetensors")}
    assert written == {("0", "1"), ("0", "2")}
    said = found[1, 2]["refusals"]
    assert "2 processes of a fit have data that differ" in said["differ"]
    assert "A step takes 1 units, which 2 processes can't share" in said["few"]


# ---------------------------------------------------------------- the noise


DRAWS: dict[str, tuple[Any, Any]] = {
    "Normal": (dist.Normal(torch.full((4000,), 1.0), 2.0), stats.norm(1.0, 2.0).cdf),
    "Uniform": (dist.Uniform(torch.zeros(4000), 3.0), stats.uniform(0.0, 3.0).cdf),
    "Exponential": (dist.Exponential(torch.full((4000,), 2.0)), stats.expon(scale=0.5).cdf),
    "Laplace": (dist.Laplace(torch.zeros(4000), 1.0), stats.laplace.cdf),
    "Gumbel": (dist.Gumbel(torch.zeros(4000), 1.0), stats.gumbel_r.cdf),
    "Cauchy": (dist.Cauchy(torch.zeros(4000), 1.0), stats.cauchy.cdf),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("family", DRAWS)
def test_keyed_draws_have_the_law_of_their_distribution(family: str, dtype: torch.dtype) -> None:
    fn, cdf = DRAWS[family]
    parameters = {k: getattr(fn, k).to(dtype) for k in fn.arg_constraints}
    noise = KeyedNoise(0, torch.device("cpu"))
    with noise.of(torch.arange(4000)):
        first, second = (type(fn)(**parameters).sample() for _ in range(2))
    assert first.dtype == dtype
    assert stats.kstest(first.double(), cdf).pvalue > 1e-3
    assert abs(stats.spearmanr(first, second).statistic) < 4 / 4000**0.5


def test_keyed_discrete_draws_have_the_probabilities_of_their_distribution() -> None:
    p = torch.tensor([0.1, 0.2, 0.7])
    with KeyedNoise(1, torch.device("cpu")).of(torch.arange(9000)):
        kinds = dist.Categorical(p.expand(9000, 3)).sample()
        coins = dist.Bernoulli(torch.full((9000,), 0.3)).sample()
    for value, chance in enumerate(p.tolist()):
        error = 4 * (chance * (1 - chance) / 9000) ** 0.5
        assert abs((kinds == value).float().mean().item() - chance) < error
    assert abs(coins.mean().item() - 0.3) < 4 * (0.21 / 9000) ** 0.5


def test_a_row_draws_the_same_in_any_company_and_another_at_another_step() -> None:
    noise = KeyedNoise(0, torch.device("cpu"))

    def drawn(rows: Tensor) -> list[Tensor]:
        with noise.of(rows):
            shapes = [(len(rows),), (len(rows), 3), (2, len(rows))]
            return [*(torch.randn(shape) for shape in shapes), torch.rand(5)]

    one, two, every = (drawn(r) for r in (torch.arange(7), torch.arange(7, 20), torch.arange(20)))
    for a, b, whole, dim in zip(one, two, every, (0, 0, 1), strict=False):
        assert torch.equal(torch.cat([a, b], dim), whole)
    assert torch.equal(one[3], every[3])  # what has no units is the same for all
    noise.at(1)
    assert not torch.equal(drawn(torch.arange(7))[0], one[0])
    before = torch.get_rng_state()
    drawn(torch.arange(3))
    assert torch.equal(before, torch.get_rng_state())


def test_gradients_flow_through_keyed_draws() -> None:
    loc = torch.zeros(8, requires_grad=True)
    with KeyedNoise(0, torch.device("cpu")).of(torch.arange(8)):
        dist.Normal(loc, 1.0).rsample().sum().backward()
    assert loc.grad is not None
    assert torch.equal(loc.grad, torch.ones(8))


def test_shares_join_to_the_whole() -> None:
    rows = torch.arange(33)
    parts = [Team(rank, 4, torch.device("cpu")).share(rows) for rank in range(4)]
    assert torch.equal(torch.cat(parts), rows)
    assert {len(part) for part in parts} == {8, 9}
