"""Adjustment sets, front doors, instruments against numbers: ``python -m benchmarks.graphical``."""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, permutations

import networkx as nx
import numpy as np
import numpy.typing as npt

import pyrocausal as pc
from benchmarks.identification import graphs
from pyrocausal.identification.discrete_models import DiscreteModel

__all__ = [
    "LinearModel",
    "check_adjustment",
    "check_frontdoor",
    "check_instruments",
    "named",
    "random_graph",
]

Array = npt.NDArray[np.float64]
Check = Callable[[pc.CausalGraph, set[str], set[str], np.random.Generator], Counter[str]]


def main() -> None:
    """Check all graphs of four nodes, then random ones of five and six."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the graphs")
    step = 50 if parser.parse_args().quick else 1
    for check in (check_adjustment, check_frontdoor, check_instruments):
        start, tally, rng = time.perf_counter(), Counter[str](), np.random.default_rng(0)
        for n, directed, mixed in list(graphs(4))[::step]:
            graph = named(n, directed, mixed)
            for x, y in permutations(sorted(graph), 2):
                tally += check(graph, {x}, {y}, rng)
        for graph, x, y in queries(3_000 // step, rng, single=check is check_instruments):
            tally += check(graph, x, y, rng)
        counts = ", ".join(f"{count} {word}" for word, count in sorted(tally.items()))
        print(f"{check.__name__}: {counts}; {time.perf_counter() - start:.0f} s", flush=True)


def named(
    n: int, directed: Iterable[tuple[int, int]], mixed: Iterable[tuple[int, int]]
) -> pc.CausalGraph:
    """Return a graph of numbered nodes, whose names run against the order of causes."""
    name = [f"v{n - i}" for i in range(n)]
    return pc.CausalGraph(
        [(name[a], name[b]) for a, b in sorted(directed)],
        bidirected=[(name[a], name[b]) for a, b in sorted(mixed)],
        nodes=name,
    )


def random_graph(n: int, rng: np.random.Generator) -> pc.CausalGraph:
    """Draw a graph with names in random order, bidirected edges and up to two latent nodes."""
    names = [f"v{i}" for i in rng.permutation(n)]
    pairs = list(combinations(names, 2))
    thick, thin = rng.uniform(0.2, 0.6), rng.uniform(0, 0.3)
    return pc.CausalGraph(
        [pair for pair in pairs if rng.random() < thick],
        latent=names[: rng.integers(3) if n > 4 else 0],
        bidirected=[pair for pair in pairs if rng.random() < thin],
        nodes=sorted(names),
    )


def queries(
    number: int, rng: np.random.Generator, single: bool = False
) -> Iterator[tuple[pc.CausalGraph, set[str], set[str]]]:
    """Yield random graphs with one or two treatments and outcomes."""
    for _ in range(number):
        graph = random_graph(int(rng.integers(5, 7)), rng)
        observed = rng.permutation(sorted(graph.observed)).tolist()
        most = 2 if single or len(observed) < 4 else 3
        i, j = rng.integers(1, most, 2)
        yield graph, set(observed[:i]), set(observed[i : i + j])


def subsets(names: Iterable[str]) -> list[frozenset[str]]:
    """Return all subsets, small ones first."""
    ordered = sorted(names)
    parts = chain.from_iterable(combinations(ordered, k) for k in range(len(ordered) + 1))
    return [frozenset(part) for part in parts]


def least(sets: Iterable[frozenset[str]]) -> set[frozenset[str]]:
    """Return the sets that contain no other."""
    every = set(sets)
    return {one for one in every if not any(other < one for other in every)}


@dataclass(frozen=True)
class LinearModel:
    """A linear Gaussian model of a graph with random coefficients.

    Attributes:
        names: Variables, latent ones too.
        coefficients: Effect of each column's variable on each row's.
        noise: Variances of the noise.
    """

    names: tuple[str, ...]
    coefficients: Array
    noise: Array

    @classmethod
    def random(cls, graph: pc.CausalGraph, rng: np.random.Generator) -> "LinearModel":
        """Draw coefficients of either sign, away from 0."""
        explicit = graph.explicit()
        names = tuple(explicit)
        size = rng.uniform(0.3, 1.5, (len(names),) * 2) * rng.choice([-1, 1], (len(names),) * 2)
        edges = nx.to_numpy_array(explicit, nodelist=names).T
        return cls(names, size * edges, rng.uniform(0.3, 2.0, len(names)))

    @property
    def covariance(self) -> Array:
        """Covariance of all variables."""
        total = np.linalg.inv(np.eye(len(self.names)) - self.coefficients)
        return np.asarray(total * self.noise @ total.T)

    def effects(self, x: Sequence[str], y: Sequence[str]) -> Array:
        """Return the joint effects of setting x on y, a row for each outcome."""
        rows = self.places(x)
        mutilated = self.coefficients.copy()
        mutilated[rows] = 0
        total = np.linalg.inv(np.eye(len(self.names)) - mutilated)
        return np.asarray(total[np.ix_(self.places(y), rows)])

    def partial(self, of: Sequence[str], given: Iterable[str]) -> Array:
        """Return the covariance of some variables given others."""
        rows, held = self.places(of), self.places(given)
        s = self.covariance
        if not held:
            return s[np.ix_(rows, rows)]
        inverse = np.linalg.inv(s[np.ix_(held, held)])
        return np.asarray(
            s[np.ix_(rows, rows)] - s[np.ix_(rows, held)] @ inverse @ s[np.ix_(held, rows)]
        )

    def variances(self, x: Sequence[str], y: Sequence[str], z: Iterable[str]) -> Array:
        """Return n times the asymptotic variances of the regression coefficients of x, given z."""
        held = {*x, *z}
        return np.array(
            [
                self.partial([b], held).item() / self.partial([a], held - {a}).item()
                for b in y
                for a in x
            ]
        )

    def places(self, names: Iterable[str]) -> list[int]:
        """Return the places of names."""
        return [self.names.index(name) for name in names]


def check_adjustment(
    graph: pc.CausalGraph, x: set[str], y: set[str], rng: np.random.Generator
) -> Counter[str]:
    """Check the sets for one effect against the adjustment formula in random models.

    Raises:
        AssertionError: A check failed.
    """
    place = f"P({y} | do({x})) in {graph}"
    others = graph.observed - x - y
    models = [DiscreteModel.random(graph, int(rng.integers(2**31))) for _ in range(2)]
    right = {z for z in subsets(others) if all(adjusts(model, x, y, z) for model in models)}
    sets = pc.adjustment_sets(graph, outcome=y, do=x)
    assert {z for z in subsets(others) if sets.is_valid(z)} == right, place
    role = dict(
        zip(sorted(others), rng.choice(4, len(others), p=[0.6, 0.2, 0.1, 0.1]), strict=True)
    )
    required = {name for name in others if role[name] == 2}
    forbidden = {name for name in others if role[name] == 3}
    tally = Counter(effects=1, sets=len(subsets(others)), valid=len(right))
    for r, f in ((set[str](), set[str]()), (required, forbidden)):
        sets = pc.adjustment_sets(graph, outcome=y, do=x, required=r, forbidden=f)
        valid = {z for z in right if r <= z and not z & f}
        assert bool(sets) == bool(valid), place
        listed = list(sets)
        assert len(listed) == len(set(listed)), place
        assert set(listed) == least(valid), (place, r, f)
        cost = {name: float(rng.choice([0.1, 0.3, 1, 2.5])) for name in others}
        cheap = sets.cheapest(cost)
        assert (cheap in valid) if valid else cheap is None, place
        if cheap is not None:
            best = min(sum(cost[name] for name in z) for z in valid)
            assert abs(sum(cost[name] for name in cheap) - best) < 1e-9, place
        tally += _check_efficient(graph, sets, valid, f, rng, (place, r, f))
    return tally


def adjusts(model: DiscreteModel, x: set[str], y: set[str], z: Iterable[str]) -> bool:
    """Tell whether the adjustment formula gives the effect in a model."""
    names = [*sorted(x), *sorted(z), *sorted(y)]
    law = model.effect(names, ())
    k, m = len(x), len(names) - len(y)
    stratum = law.sum(tuple(range(m, law.ndim)))
    given = law / stratum.reshape(stratum.shape + (1,) * len(y))
    weight = stratum.sum(tuple(range(k)), keepdims=True)
    answer = (given * weight.reshape(weight.shape + (1,) * len(y))).sum(tuple(range(k, m)))
    return bool(np.allclose(answer, model.effect(sorted(y), sorted(x)), atol=1e-9))


def _check_efficient(
    graph: pc.CausalGraph,
    sets: pc.identification.AdjustmentSets,
    valid: set[frozenset[str]],
    forbidden: set[str],
    rng: np.random.Generator,
    place: object,
) -> Counter[str]:
    x, y = sorted(sets.do), sorted(sets.outcome)
    model = LinearModel.random(graph, rng)
    variances = {z: model.variances(x, y, z) for z in valid}
    best, tally = sets.efficient, Counter[str]()
    if best is not None:
        assert all((variances[best] <= v + 1e-9 * v).all() for v in variances.values()), place
        tally["efficient"] = 1
    markov = not graph.latent_projection().bidirected
    if valid and markov and not forbidden and set(y) <= graph.descendants(x):
        assert best is not None, place
    small = sets.efficient_minimal
    if small is not None:
        assert all((variances[small] <= variances[z] * (1 + 1e-9)).all() for z in least(valid)), (
            place
        )
        tally["efficient minimal"] = 1
    return tally


def check_frontdoor(
    graph: pc.CausalGraph, x: set[str], y: set[str], rng: np.random.Generator
) -> Counter[str]:
    """Check the sets for one effect against the criterion, and the formula in a random model.

    Raises:
        AssertionError: A check failed.
    """
    place = f"P({y} | do({x})) in {graph}"
    explicit = nx.DiGraph(graph.explicit().edges)
    explicit.add_nodes_from(graph)
    others = graph.observed - x - y
    right = {m for m in subsets(others) if _is_front_door(explicit, x, y, m)}
    sets = pc.frontdoor_sets(graph, outcome=y, do=x)
    assert {m for m in subsets(others) if sets.is_valid(m)} == right, place
    model = DiscreteModel.random(graph, int(rng.integers(2**31)))
    assert all(_front_door_holds(model, x, y, m) for m in right), place
    split = rng.choice(3, len(others), p=[0.7, 0.15, 0.15])
    required = {name for name, i in zip(sorted(others), split, strict=True) if i == 1}
    forbidden = {name for name, i in zip(sorted(others), split, strict=True) if i == 2}
    for r, f in ((set[str](), set[str]()), (required, forbidden)):
        sets = pc.frontdoor_sets(graph, outcome=y, do=x, required=r, forbidden=f)
        valid = {m for m in right if r <= m and not m & f}
        assert sets.largest == (frozenset().union(*valid) if valid else None), place
        listed = list(sets)
        assert len(listed) == len(set(listed)), place
        assert set(listed) == least(valid), (place, r, f)
    return Counter(effects=1, sets=len(subsets(others)), valid=len(right))


def _is_front_door(g: nx.DiGraph, x: set[str], y: set[str], m: frozenset[str]) -> bool:
    without = g.copy()
    without.remove_nodes_from(m)
    if any(nx.has_path(without, a, b) for a in x for b in y):
        return False
    if not m:
        return True
    from_x, from_m = g.copy(), g.copy()
    from_x.remove_edges_from(list(g.out_edges(x)))
    from_m.remove_edges_from(list(g.out_edges(m)))
    return bool(nx.is_d_separator(from_x, x, set(m), set())) and bool(
        nx.is_d_separator(from_m, set(m), y, x)
    )


def _front_door_holds(model: DiscreteModel, x: set[str], y: set[str], m: frozenset[str]) -> bool:
    names = [*sorted(x), *sorted(m), *sorted(y)]
    law = model.effect(names, ())
    sizes = [int(np.prod(law.shape[: len(x)])), 2 ** len(m), -1]
    joint = law.reshape(sizes)
    x_m = joint.sum(2)
    px = x_m.sum(1)
    inner = np.einsum("xmy,xm,x->my", joint, 1 / x_m, px)
    answer = (x_m / px[:, None]) @ inner
    truth = model.effect(sorted(y), sorted(x)).reshape(sizes[0], -1)
    return bool(np.allclose(answer, truth, atol=1e-9))


def check_instruments(
    graph: pc.CausalGraph, x: set[str], y: set[str], rng: np.random.Generator
) -> Counter[str]:
    """Check the instruments for one effect by the definition and by ratios in linear models.

    Raises:
        AssertionError: A check failed.
    """
    (a,), (b,) = x, y
    place = f"{a} on {b} in {graph}"
    others = graph.observed - {a, b}
    cut, below = _without_causal(graph, a, b)
    models = [LinearModel.random(graph, rng) for _ in range(2)]
    found = pc.instruments(graph, outcome=b, do=a)
    nearest = {one.name: frozenset(one.given) for one in found}
    tally = Counter(effects=1, found=len(nearest))
    for z in sorted(others):
        valid = set()
        for w in subsets(others - {z}):
            free = not {z, *w} & below
            open_to_x = not nx.is_d_separator(cut, {z}, {a}, set(w))
            good = free and open_to_x and nx.is_d_separator(cut, {z}, {b}, set(w))
            assert found.is_valid(z, w) == good, (place, z, w)
            valid |= {w} if good else set()
            if open_to_x:
                equal = all(_ratio_holds(model, z, w, a, b) for model in models)
                assert equal == good, (place, z, w)
                tally["pairs"] += 1
        above = nx.ancestors(cut, b) | nx.ancestors(cut, z)
        assert (z in nearest) == any(w <= above for w in valid), (place, z)
        assert z not in nearest or nearest[z] in valid, (place, z)
        tally["missed"] += bool(valid) and z not in nearest
        tally["any"] += bool(valid)
    assert bool(found) or not tally["any"], place
    return tally


def _without_causal(graph: pc.CausalGraph, x: str, y: str) -> tuple[nx.DiGraph, set[str]]:
    """Return the explicit graph without the first edges of causal paths, and what is below."""
    g = nx.DiGraph(graph.explicit().edges)
    g.add_nodes_from(graph)
    on_path = {n for path in nx.all_simple_paths(g, x, y) for n in path[1:]}
    below = on_path.union(*(nx.descendants(g, n) for n in on_path))
    g.remove_edges_from([(x, n) for n in on_path])
    return g, below


def _ratio_holds(model: LinearModel, z: str, w: Iterable[str], x: str, y: str) -> bool:
    (s,) = model.partial([z, x, y], w)[:1]
    return bool(abs(s[2] / s[1] - model.effects([x], [y]).item()) < 1e-7)


if __name__ == "__main__":
    main()
