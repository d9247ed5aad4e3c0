"""Data sets on which both potential outcomes are known, so that estimates can be scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyrocausal.datasets.files import Source, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["acic2016", "ihdp", "twin_pairs", "twins"]

IHDP: Final = Source(
    "ihdp",
    "The files are in the folder datasets/IHDP/csv of the GitHub project AMLab-Amsterdam/CEVAE; "
    "add a header line: treatment, y_factual, y_cfactual, mu0, mu1, x1, ..., x25.",
)

TWINS: Final = Source(
    "twins",
    "twins_lt2kg.csv.gz is Twins/Final_data_twins.csv of the GitHub project "
    "shalit-lab/Benchmarks; the twin_pairs files are in the folder datasets/TWINS of the "
    "GitHub project AMLab-Amsterdam/CEVAE.",
)

ACIC2016: Final = Source(
    "acic2016",
    "The files are in the folder causallib/datasets/data/acic_challenge_2016 of the GitHub "
    "project BiomedSciAI/causallib.",
)


def ihdp(replication: int = 1, folder: str | Path | None = None) -> pd.DataFrame:
    """Return one replication of IHDP: real infants and treatment, simulated outcomes.

    747 infants, 139 of them treated. ``treatment`` (0/1); ``y_factual`` and ``y_cfactual``, the
    outcome under the received and under the other treatment (noise of standard deviation 1);
    ``mu0`` and ``mu1``, the expected outcomes; ``x1`` to ``x6``, standardised; ``x7`` to ``x25``,
    binary (0/1, but 1/2 for ``x14``). Nothing has a unit, and nothing is missing.

    Reference figures: the average effect on the treated is 4 in every replication. The average
    effect, the naive difference and the least-squares coefficient are, in replications 1 to 5::

        true     4.0161  4.0508  4.0992  4.2737  4.1624
        naive    4.0211  4.0814  4.1942  4.2715  4.2292
        linear   3.9287  3.8994  3.9350  3.9067  4.1765

    Args:
        replication: Which simulation of the outcomes, from 1.
        folder: The folder that holds ``ihdp/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table of 747 rows and 30 columns.

    Raises:
        FileNotFoundError: If the file isn't there.

    Example:
        >>> table = ihdp(1)
        >>> print(f"{(table.mu1 - table.mu0).mean():.4f}")
        4.0161

    References:
        Hill (2011), "Bayesian nonparametric modeling for causal inference"; Louizos et al. (2017),
        "Causal effect inference with deep latent-variable models". Licence not stated.
    """
    covariates = [f"x{number}" for number in range(1, 26)]
    return read_table(
        IHDP.file(f"ihdp_npci_{replication}.csv", folder),
        ["treatment", "y_factual", "y_cfactual", "mu0", "mu1", *covariates],
    )


def twins(folder: str | Path | None = None) -> pd.DataFrame:
    """Return the pairs of light twins: does being the heavier one save lives?

    11984 pairs of same-sex twins, both under 2000 g. ``y0`` and ``y1``: the lighter and the
    heavier twin died within a year (0/1). ``T``: simulated treatment, 1 where the heavier twin is
    the observed one; ``yf`` and ``y_cf``: the outcome of the observed and of the other twin;
    ``Propensity``: the probability of ``T`` = 1 that was used. 45 covariates of the birth, integer
    codes, and 30 proxies ``gestatcat1`` to ``gestatcat10`` (each also as ``.1`` and ``.2``): noisy
    0/1 copies of ten indicators of the length of gestation, which is the hidden confounder.

    Reference figures: means 0.1894 of ``y0`` and 0.1642 of ``y1``, average effect -0.0252 (-0.0243
    on the treated), 0.7457 treated, naive difference -0.1121.

    Args:
        folder: The folder that holds ``twins/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table of 11984 rows and 81 columns, by number of the pair.

    Raises:
        FileNotFoundError: If the file isn't there.

    Example:
        >>> table = twins()
        >>> print(f"{(table.y1 - table.y0).mean():.4f}")
        -0.0252

    References:
        Almond, Chay and Lee (2005), "The costs of low birth weight"; Louizos et al. (2017), as in
        `ihdp`. Licence not stated.
    """
    return read_table(
        TWINS.file("twins_lt2kg.csv.gz", folder), ["T", "y0", "y1", "yf"], index_col=0
    )


def twin_pairs(folder: str | Path | None = None) -> pd.DataFrame:
    """Return all pairs of same-sex twins, without covariates.

    71345 pairs, US births of 1989 to 1991. ``dbirwt_0`` and ``dbirwt_1``: birth weight of the
    lighter and of the heavier twin (g); ``mort_0`` and ``mort_1``: died within a year (0/1).

    Reference figure: the average effect of being the heavier twin is -0.0071 (0.0324 against
    0.0395).

    Args:
        folder: The folder that holds ``twins/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table of 71345 rows and 4 columns, by number of the pair.

    Raises:
        FileNotFoundError: If a file isn't there.

    Example:
        >>> pairs = twin_pairs()
        >>> print(f"{(pairs.mort_1 - pairs.mort_0).mean():.4f}")
        -0.0071

    References:
        As in `twins`.
    """
    weights, deaths = (
        read_table(
            TWINS.file(f"twin_pairs_{letter}_3years_samesex.csv", folder), pair, index_col=0
        )
        for letter, pair in (("T", ["dbirwt_0", "dbirwt_1"]), ("Y", ["mort_0", "mort_1"]))
    )
    return weights.join(deaths)


def acic2016(setting: int = 1, folder: str | Path | None = None) -> pd.DataFrame:
    """Return one setting of the ACIC 2016 challenge: real covariates, simulated the rest.

    4802 pregnancies. ``z``: treatment (0/1); ``y0`` and ``y1``: both potential outcomes; ``y``:
    the observed one, ``y1`` where ``z`` = 1 and ``y0`` elsewhere; ``mu0`` and ``mu1``: the
    expected outcomes; ``x_1`` to ``x_58``: covariates, of which ``x_2``, ``x_21`` and ``x_24`` are
    categories (letters). Nothing has a unit, and nothing is missing.

    Reference figures: the average effect and the naive difference are, in settings 1 to 10::

        true   2.128  4.679  4.752  4.796  3.353  2.928  3.949  1.521  3.799  4.223
        naive  3.582  5.199  6.099  5.941  4.108  5.047  4.301  0.896  5.591  4.432

    Args:
        setting: Which simulation of treatment and outcomes, 1 to 10.
        folder: The folder that holds ``acic2016/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table of 4802 rows and 64 columns.

    Raises:
        FileNotFoundError: If a file isn't there.

    Example:
        >>> table = acic2016(1)
        >>> print(f"{(table.mu1 - table.mu0).mean():.3f}")
        2.128

    References:
        Dorie et al. (2019), "Automated versus do-it-yourself methods for causal inference",
        Statistical Science 34(1). Community Data License Agreement - Sharing 1.0.
    """
    outcomes = read_table(
        ACIC2016.file(f"zymu_{setting}.csv", folder), ["z", "y0", "y1", "mu0", "mu1"]
    )
    covariates = read_table(ACIC2016.file("x.csv", folder), ["x_1", "x_58"])
    observed = outcomes["y1"].where(outcomes["z"] == 1, outcomes["y0"])
    return outcomes.assign(y=observed).join(covariates)
