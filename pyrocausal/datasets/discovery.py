"""Data sets whose causal graph, or direction, is taken as known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pyrocausal.datasets.files import Source, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sachs", "sachs_edges", "tuebingen", "tuebingen_pairs"]

SACHS: Final = Source(
    "sachs",
    "The measurements are the file cyto_full_data.csv, the 18 edges cyto_full_target.csv, of the "
    "GitHub project FenTechSolutions/CausalDiscoveryToolbox, with the proteins renamed Raf, Mek, "
    "Plcg, PIP2, PIP3, Erk, Akt, PKA, PKC, P38, Jnk; its first 853 rows are the observational "
    "ones. The 17 edges are in the tests of the GitHub project py-why/causal-learn.",
)

TUEBINGEN: Final = Source(
    "tuebingen",
    "The pairs are in the file Tuebingen_pairs.csv of the GitHub project "
    "FenTechSolutions/CausalDiscoveryToolbox; here each has a csv file of its own, with the "
    "columns a (the cause) and b (the effect), and pairmeta.csv tells what they are.",
)


EDGES: Final = {"bnlearn": "edges_bnlearn_17.csv", "cdt": "edges_cdt_18.csv"}


def sachs(observational: bool = True, folder: str | Path | None = None) -> pd.DataFrame:
    """Return the flow cytometry of 11 signalling proteins in single human T cells.

    Fluorescence intensity of ``Raf``, ``Mek``, ``Plcg``, ``PIP2``, ``PIP3``, ``Erk``, ``Akt``,
    ``PKA``, ``PKC``, ``P38`` and ``Jnk``, in an arbitrary unit, at least 1; the logarithm is
    usual. Nothing is missing.

    Reference figures: means over all conditions 124.1 (Raf), 145.4 (Mek), 26.6 (Erk), 81.2 (Akt),
    625.8 (PKA), 30.3 (PKC).

    Args:
        observational: Only the 853 cells on which no protein was acted; otherwise the 7466 cells
            of all conditions, which the table doesn't tell apart.
        folder: The folder that holds ``sachs/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table of 853 or 7466 rows and 11 columns.

    Raises:
        FileNotFoundError: If the file isn't there.

    Example:
        >>> print(f"{sachs(observational=False)['PKA'].mean():.1f}")
        625.8

    References:
        Sachs et al. (2005), "Causal protein-signaling networks derived from multiparameter
        single-cell data", Science 308. Licence of the measurements not stated.
    """
    name = "sachs_observational_853.csv" if observational else "sachs_all_7466.csv"
    return read_table(SACHS.file(name, folder), ["Raf", "Mek", "Erk", "Akt", "PKA", "PKC"])


def sachs_edges(
    graph: Literal["bnlearn", "cdt"] = "bnlearn", folder: str | Path | None = None
) -> list[tuple[str, str]]:
    """Return the edges of a reference graph of the proteins.

    Args:
        graph: ``"bnlearn"``, the acyclic graph of 17 edges that comes with bnlearn; or ``"cdt"``,
            that of the Causal Discovery Toolbox, 18 edges with the cycle Plcg, PIP2, PIP3. They
            share 13.
        folder: The folder that holds ``sachs/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        Pairs of cause and effect.

    Raises:
        FileNotFoundError: If the file isn't there.
        ValueError: If there is no such graph.

    Example:
        >>> len(sachs_edges()), ("Raf", "Mek") in sachs_edges()
        (17, True)

    References:
        As in `sachs`.
    """
    if graph not in EDGES:
        raise ValueError(f"There is no graph {graph!r}; the graphs are {list(EDGES)}.")
    table = read_table(SACHS.file(EDGES[graph], folder), ["cause", "effect"])
    return list(zip(table["cause"], table["effect"], strict=True))


def tuebingen(pair: int, folder: str | Path | None = None) -> pd.DataFrame:
    """Return one cause-effect pair: two measured variables, of which one causes the other.

    A test of direction should swap the two columns at random, so that their order tells nothing.

    Args:
        pair: The number of the pair in the collection, one of `tuebingen_pairs`.
        folder: The folder that holds ``tuebingen/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table with the columns ``cause`` and ``effect``.

    Raises:
        FileNotFoundError: If the file isn't there, as for any other number.

    Example:
        >>> tuebingen(1).shape
        (349, 2)

    References:
        As in `tuebingen_pairs`.
    """
    table = read_table(TUEBINGEN.file(f"pair{pair:04d}.csv", folder), ["a", "b"])
    return table.rename(columns={"a": "cause", "b": "effect"})


def tuebingen_pairs(folder: str | Path | None = None) -> pd.DataFrame:
    """Return what the twenty pairs are: names, units, number of rows, weight.

    Reference figure: additive noise models with the HSIC reach a weighted accuracy of 63% +- 10%
    on the whole collection of about a hundred pairs; guessing gives 50%.

    Args:
        folder: The folder that holds ``tuebingen/``; by default ``PYROCAUSAL_DATA``.

    Returns:
        A table by number of the pair, with the columns ``rows``, ``weight`` (of the pair in the
        accuracy), ``cause``, ``cause_unit``, ``effect``, ``effect_unit`` and ``source``, and those
        that name the file and its columns.

    Raises:
        FileNotFoundError: If the file isn't there.

    Example:
        >>> entry = tuebingen_pairs().loc[1]
        >>> print(entry["cause"], "->", entry["effect"])
        altitude -> mean annual temperature

    References:
        Mooij et al. (2016), "Distinguishing cause from effect using observational data: methods
        and benchmarks", JMLR 17(32). Licence of the pairs not stated.
    """
    return read_table(
        TUEBINGEN.file("pairmeta.csv", folder), ["cause", "effect"], index_col="pair"
    )
