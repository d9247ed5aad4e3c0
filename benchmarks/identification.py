"""Every effect in every small graph against enumeration: ``python -m benchmarks.identification``."""

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, permutations, product

import numpy as np

from pyrocausal import CausalGraph
from pyrocausal.errors import NotIdentified
from pyrocausal.identification import Estimand, Hedge, identify
from pyrocausal.identification.counterexamples import two_models
from pyrocausal.identification.discrete_models import DiscreteModel

__all__ = ["Graph", "check", "graphs", "identifiable", "random_graph"]

Pairs = frozenset[tuple[int, int]]
Graph = tuple[int, Pairs, Pairs]
"""Number of nodes, directed and bidirected edges; nodes are numbered causes first."""


def main() -> None:
    """Check all ADMGs of four nodes, then random ones of five to seven with conditionals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sample of the graphs")
    quick = parser.parse_args().quick
    rng = np.random.default_rng(0)
    start, tally = time.process_time(), Counter[str]()
    every = list(graphs(4))
    print(f"{len(every)} graphs of 4 nodes up to isomorphism")
    for graph in every[:: 50 if quick else 1]:
        for x, y in permutations(range(4), 2):
            tally += check(graph, {y}, {x}, set(), pairs=tally["pairs"] < 200)
    _report("4 nodes", tally, start)
    start, tally = time.process_time(), Counter()
    for i in range(100 if quick else 3_000):
        n = 5 + i % 3
        x, y, *others = rng.permutation(n).tolist()
        given = set(others[: rng.integers(0, 3)])
        tally += check(random_graph(n, rng), {y}, {x}, given)
    _report("5 to 7 nodes", tally, start)


def _report(title: str, tally: Counter[str], start: float) -> None:
    counts = ", ".join(f"{count} {word}" for word, count in sorted(tally.items()))
    print(f"{title}: {counts}; {time.process_time() - start:.0f} s of one core", flush=True)


def graphs(n: int) -> Iterator[Graph]:
    """Yield every ADMG of n nodes once, up to the names of its nodes."""
    pairs = list(combinations(range(n), 2))
    orders = list(permutations(range(n)))
    seen: set[tuple[Pairs, Pairs]] = set()
    for chosen in product((False, True), repeat=2 * len(pairs)):
        directed, mixed = (
            _chosen(pairs, chosen[: len(pairs)]),
            _chosen(pairs, chosen[len(pairs) :]),
        )
        if (directed, mixed) in seen:
            continue
        yield n, directed, mixed
        for order in orders:
            turned = frozenset((order[a], order[b]) for a, b in directed)
            joined = frozenset(
                (min(order[a], order[b]), max(order[a], order[b])) for a, b in mixed
            )
            seen.add((turned, joined))


def _chosen(pairs: Sequence[tuple[int, int]], chosen: Iterable[bool]) -> Pairs:
    return frozenset(pair for pair, take in zip(pairs, chosen, strict=True) if take)


def random_graph(n: int, rng: np.random.Generator) -> Graph:
    """Draw an ADMG of n nodes whose pairs are joined with random density."""
    pairs = list(combinations(range(n), 2))
    density = rng.uniform(0.2, 0.6, 2)
    directed, mixed = (_chosen(pairs, rng.random(len(pairs)) < p) for p in density)
    return n, directed, mixed


def check(
    graph: Graph,
    y: set[int],
    x: set[int],
    given: set[int],
    *,
    models: int = 3,
    pairs: bool = False,
) -> Counter[str]:
    """Check one query: the verdict, the value where identified, the witness where not.

    Args:
        graph: The graph.
        y: The outcome.
        x: What is set.
        given: What is then observed.
        models: How many random models with latent causes to compare with.
        pairs: Whether to build two models from the hedge of an unconditional query.

    Returns:
        What was checked.

    Raises:
        AssertionError: A check failed.
    """
    n, directed, mixed = graph
    named = CausalGraph(
        [(f"V{a}", f"V{b}") for a, b in sorted(directed)],
        bidirected=[(f"V{a}", f"V{b}") for a, b in sorted(mixed)],
        nodes=[f"V{i}" for i in range(n)],
    )
    outcome, do, seen = ([f"V{i}" for i in sorted(names)] for names in (y, x, given))
    place = f"P({outcome} | do({do}), {seen}) in {named}"
    expected = identifiable(graph, y, x, given)
    try:
        estimand = identify(named, outcome, do=do, given=seen)
    except NotIdentified as refusal:
        hedge = refusal.hedge
    else:
        assert expected, f"{place}: got {estimand}, but it is not identified"
        _check_values(named, estimand, (outcome, do, seen), models, place)
        return Counter(identified=1)
    assert not expected, f"{place}: refused, but identified"
    assert hedge, f"{place}: no hedge"
    assert hedge.verify(named), f"{place}: {hedge} is none"
    if pairs and not given:
        _check_pair(named, hedge, place)
        return Counter(refused=1, pairs=1)
    return Counter(refused=1)


def _check_values(
    graph: CausalGraph,
    estimand: Estimand,
    query: tuple[list[str], list[str], list[str]],
    models: int,
    place: str,
) -> None:
    outcome, do, seen = query
    for seed in range(models):
        model = DiscreteModel.random(graph, seed)
        table, truth = model.table(), model.effect(outcome, do, seen)
        for values in product(range(2), repeat=len(do) + len(seen)):
            answer = estimand.evaluate(
                table,
                dict(zip(do, values[: len(do)], strict=True)),
                dict(zip(seen, values[len(do) :], strict=True)),
            )
            error = abs(answer.to_numpy() - truth[values].reshape(-1)).max()
            assert error < 1e-9, f"{place}: {estimand} is off by {error}"
            assert answer.attrs.get("spread", 0.0) < 1e-9, f"{place}: {estimand} varies"


def _check_pair(graph: CausalGraph, hedge: Hedge, place: str) -> None:
    one, two = two_models(graph, hedge)
    observed = abs(one.law() - two.law()).max()
    effect = abs(one.effect(hedge.outcome, hedge.do) - two.effect(hedge.outcome, hedge.do)).max()
    assert observed < 1e-12, f"{place}: the pair of {hedge} differs by {observed}"
    assert effect > 0.01, f"{place}: the pair of {hedge} agrees within {effect}"


def identifiable(graph: Graph, y: set[int], x: set[int], given: set[int]) -> bool:
    """Tell whether ``P(y | do(x), given)`` is identified, by the lines of Shpitser and Pearl."""
    n, directed, mixed = graph
    x, given = set(x), set(given)
    while True:
        for z in given:
            cut = frozenset(e for e in directed if e[1] not in x and e[0] != z)
            left = frozenset(e for e in mixed if not x & set(e))
            if _separated(n, cut, left, y, {z}, x | given - {z}):
                x, given = x | {z}, given - {z}
                break
        else:
            return _id(y | given, x, set(range(n)), directed, mixed)


def _id(y: set[int], x: set[int], v: set[int], directed: Pairs, mixed: Pairs) -> bool:
    """Tell whether ID succeeds; the comments give its lines."""
    if not x:  # 1
        return True
    above = _above(y, v, directed)
    if above != v:  # 2
        return _id(y, x & above, above, directed, mixed)
    free = v - x - _above(y, v, frozenset(e for e in directed if e[1] not in x))
    if free:  # 3
        return _id(y, x | free, v, directed, mixed)
    parts = _districts(v - x, mixed)
    if len(parts) > 1:  # 4
        return all(_id(part, v - part, v, directed, mixed) for part in parts)
    whole = _districts(v, mixed)
    if len(whole) == 1:  # 5
        return False
    if parts[0] in whole:  # 6
        return True
    (around,) = (part for part in whole if parts[0] < part)  # 7
    return _id(y, x & around, around, directed, mixed)


def _above(nodes: set[int], v: set[int], directed: Pairs) -> set[int]:
    found = set(nodes)
    while new := {a for a, b in directed if b in found and a in v and b in v} - found:
        found |= new
    return found


def _districts(v: set[int], mixed: Pairs) -> list[set[int]]:
    parts: list[set[int]] = []
    left = set(v)
    while left:
        part = {left.pop()}
        while new := {n for e in mixed if part & set(e) and v >= set(e) for n in e} - part:
            part |= new
        parts.append(part)
        left -= part
    return parts


def _separated(
    n: int, directed: Pairs, mixed: Pairs, x: set[int], y: set[int], given: set[int]
) -> bool:
    """Tell whether two sets are separated, in the moral graph of their ancestors."""
    latent = {e: n + i for i, e in enumerate(sorted(mixed))}
    edges = directed | {(u, end) for e, u in latent.items() for end in e}
    above = _above(x | y | given, set(range(n + len(latent))), edges)
    parents = {b: {a for a, c in edges if c == b} for b in above}
    joined = [{b, *parents[b]} for b in above]
    reached = set(x)
    while new := {m for clique in joined if clique & reached for m in clique} - given - reached:
        reached |= new
    return not reached & y


if __name__ == "__main__":
    main()
