"""The tables of CausalDiffAE for RESULTS.md."""

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["HEADING", "rows"]

HEADING: Final = "## Images that answer do: CausalDiffAE on the pendulum"
RANGES: Final = {"angle": 1.3195, "light": 1.3823, "length": 9.6, "position": 17.6}
"""Of the variables, of which errors are percentages."""
BELOW: Final = {"angle": ("length", "position"), "light": ("length", "position")}
INTRO: Final = """\
`python -m benchmarks.causal_diffae` fills this section, and `python -m benchmarks.causal_diffae
--labels .1 .01` adds the shares; both go on where they were stopped. 4,000 training images of 32
pixels, 24 test images, U-Net of 0.81 million parameters, K = 50 steps, one fixed-point iteration
beyond the first evaluation; {steps}. Errors are what the oracle measures on counterfactual images
against the true SCM's counterfactual, in % of the variable's range (angle 1.32, light 1.38, length
9.6, position 17.6). Truth error, composition, reversibility in grey levels of 255. The VAE is told
all labels as evidence, CausalDiffAE sees the image alone."""
TARGETS: Final = (
    "Targets: composition <= 1; variable set <= 10 %; descendants <= 12 %; reversibility <= 3; "
    "better than the VAE on effectiveness and truth error, and than the VAE without its pixels' "
    "residual on composition (with it, composition is 0 by construction)."
)

LIMIT: Final = (
    "In every training image the shadow follows from pendulum and light. `do(length)` breaks that "
    "law: no such image was seen, no label told it from the others, and the painter guesses."
)


def rows(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the section."""
    trained = {line["share"]: line.get("steps") for line in results if line.get("steps")}
    steps = ", ".join(f"{n} steps at {s:.0%} labels" for s, n in sorted(trained.items())[::-1])
    yield INTRO.format(steps=steps or "not trained yet")
    yield ""
    yield TARGETS
    yield ""
    yield LIMIT
    yield ""
    yield "| labels | model | do | set | length | position | others | truth | comp. | rev. |"
    yield "|---" * 10 + "|"
    for line in results:
        for name, scores in line.get("scores", {}).items():
            yield _row(line, name, scores)
    yield ""
    yield (
        "The causes alone, 500 test images: error of the children under do(), read from the SCM's "
        "sites; factual error of all four; DCI by a lasso (D, C, I). The factual figures can't see a "
        "wrong mechanism. The released order is its code's: parents' noise summed, one hop, label "
        "variance 1."
    )
    yield ""
    yield (
        "| labels | mechanism | do(angle): length, position | do(light): length, position "
        "| factual | D, C, I | s |"
    )
    yield "|---" * 7 + "|"
    for line in results:
        if "errors" in line:
            yield _causes(line)


def _row(line: dict[str, Any], name: str, scores: dict[str, Any]) -> str:
    errors = {n: 100 * e / RANGES[n] for n, e in scores["effectiveness"].items()}
    below = [
        f"{errors[n]:.1f}" if n in BELOW.get(name, ()) else "-" for n in ("length", "position")
    ]
    others = [e for n, e in errors.items() if n != name and n not in BELOW.get(name, ())]
    return (
        f"| {line['share']:.0%} | {line['method']} | {name} | {errors[name]:.1f} "
        f"| {' | '.join(below)} | {sum(others) / len(others):.1f} | {scores['truth_error']:.1f} "
        f"| {scores['composition']:.2f} | {scores['reversibility']:.2f} |"
    )


def _causes(line: dict[str, Any]) -> str:
    def text(errors: dict[str, float]) -> str:
        return ", ".join(f"{100 * e / RANGES[n]:.1f}" for n, e in errors.items())

    codes = ", ".join(f"{value:.2f}" for value in line["dci"].values())
    released = "released" if "released" in line["method"] else "topological"
    return (
        f"| {line['share']:.0%} | {released} | {text(line['errors']['angle'])} "
        f"| {text(line['errors']['light'])} | {text(line['factual'])} | {codes} "
        f"| {line['seconds']:.0f} |"
    )
