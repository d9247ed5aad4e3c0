"""What can go wrong, in words: every error says what was got, what was expected, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrocausal.identification.hedges import Hedge

__all__ = [
    "CaptureWarning",
    "ConvergenceWarning",
    "IdentificationWarning",
    "IncompleteEvidence",
    "NotAbducible",
    "NotCapturable",
    "NotIdentified",
    "NotVectorized",
    "PyrocausalError",
    "RungWarning",
    "UnknownVariable",
    "UnreliableWarning",
]


class PyrocausalError(Exception):
    """The common ancestor of the errors that are particular to this library.

    Example:
        >>> try:
        ...     pc.zoo.chain().do(Q=1.0)
        ... except PyrocausalError as error:
        ...     print(error)
        do: there is no variable 'Q'. Variables: X, Y, Z.
    """


class UnknownVariable(PyrocausalError, KeyError):
    """A name that is no variable of the program.

    Args:
        name: The name that was asked for.
        known: The variables there are; the nearest one is suggested.
        where: What the name was used for, such as ``"do"``.
        kind: What the names are names of, if not of variables.
        cure: What to do, where more is known than the nearest name.

    Example:
        >>> pc.zoo.simpson().do(sugery=1.0)
        Traceback (most recent call last):
        pyrocausal.errors.UnknownVariable: do: there is no variable 'sugery'. ...
    """

    def __init__(
        self,
        name: str,
        known: Iterable[str],
        where: str = "this query",
        *,
        kind: str = "variable",
        cure: str = "",
    ) -> None:
        names = sorted(known)
        near = _nearest(str(name), names)
        hint = f" Did you mean {near!r}?" if near else ""
        self.name, self.known = name, names
        super().__init__(
            f"{where}: there is no {kind} {name!r}.{hint} {kind.capitalize()}s: "
            f"{', '.join(names) or 'none'}.{cure}"
        )

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would quote the whole sentence.
        return str(self.args[0])


def _nearest(name: str, names: list[str]) -> str | None:
    """Return the name that is spelt most alike, or else alike up to capitals."""
    folded = {known.casefold(): known for known in names}
    near = get_close_matches(name, names, n=1)
    near += [folded[known] for known in get_close_matches(name.casefold(), folded, n=1)]
    return near[0] if near else None


class NotAbducible(PyrocausalError, NotImplementedError):
    """The exogenous noise of a site can't be recovered, nor its equation written down.

    Args:
        site: The site's name, or the name of its distribution where no site is known.
        reason: Why, and what to do instead.

    Example:
        >>> def correlations():
        ...     x = pyro.sample("x", dist.Exponential(1.0))
        ...     pyro.sample("factor", dist.LKJCholesky(2, x))
        >>> seen = {"x": 1.0, "factor": torch.eye(2)}
        >>> pc.SCM(correlations).counterfactual(seen, do={"x": 2.0})
        Traceback (most recent call last):
        pyrocausal.errors.NotAbducible: ...
    """

    def __init__(self, site: str, reason: str) -> None:
        self.site, self.reason = site, reason
        super().__init__(f"The exogenous noise of {site!r} is not available: {reason}")


class NotVectorized(PyrocausalError, RuntimeError):
    """A program that mixes rows, or that can't run on several rows at once.

    Args:
        site: The site at which it shows.
        hint: What in a program usually causes this, and the cure.

    Example:
        >>> def mixed():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(x.mean(), 1.0))
        >>> pc.SCM(mixed).sample(3)
        Traceback (most recent call last):
        pyrocausal.errors.NotVectorized: The program is not vectorized over units at 'y': ...
    """

    def __init__(self, site: str, hint: str) -> None:
        self.site, self.hint = site, hint
        super().__init__(f"The program is not vectorized over units at {site!r}: {hint}")


class IncompleteEvidence(PyrocausalError, ValueError):
    """Evidence that lacks a variable above what was observed, which there is no way to infer.

    Example:
        >>> def shared():
        ...     loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        ...     with pc.units():
        ...         pyro.sample("x", dist.Normal(loc, 1.0))
        >>> pc.SCM(shared).counterfactual({"x": [1.0]}, do={"x": 2.0})
        Traceback (most recent call last):
        pyrocausal.errors.IncompleteEvidence: 'loc' is shared by all units ...
    """


class NotIdentified(PyrocausalError, ValueError):
    """A causal query that the known distributions and the graph don't determine.

    Args:
        reason: What is not identified, why, and what would help.
        hedge: The witness, a `pyrocausal.identification.Hedge`, where one is known.

    Example:
        >>> bow = pc.CausalGraph([("x", "y")], bidirected=[("x", "y")])
        >>> pc.identify(bow, "y", do="x")
        Traceback (most recent call last):
        pyrocausal.errors.NotIdentified: P(y | do(x)) is not identified from observation. ...
    """

    def __init__(self, reason: str, hedge: Hedge | None = None) -> None:
        self.hedge = hedge
        super().__init__(reason)


class NotCapturable(PyrocausalError, RuntimeError):
    """A program that one graph of tensor operations can't stand for.

    Args:
        reason: What the program does, and what to write instead.
        line: Where it does it.

    Example:
        >>> def branching():
        ...     loc = pyro.param("loc", torch.tensor(0.0))
        ...     pyro.sample("x", dist.Normal(loc, 2.0 if loc.item() > 1 else 1.0))
        >>> pc.SCM(branching).fit({"x": [1.0, 2.0]}, steps=2, compile=True)
        Traceback (most recent call last):
        pyrocausal.errors.NotCapturable: The program asks for one number ...
    """

    def __init__(self, reason: str, line: str | None = None) -> None:
        self.reason, self.line = reason, line
        super().__init__(f"{reason}{f' (at {line})' if line else ''}")


class CaptureWarning(UserWarning):
    """A program runs as it stands, step by step, because it can't be captured or compiled.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", CaptureWarning)  # stop rather than go on slowly
        ...     pc.zoo.chain().sample(2, seed=0).rung
        1
    """


class ConvergenceWarning(UserWarning):
    """A fit that stopped on its way: more steps would have fitted clearly better.

    Example:
        >>> import warnings
        >>> def program():
        ...     pyro.sample("x", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))
        >>> with warnings.catch_warnings(record=True) as told:
        ...     warnings.simplefilter("always")
        ...     _ = pc.SCM(program).fit({"x": [3.0, 5.0] * 100}, steps=100, lr=0.01, seed=0)
        >>> told[0].category.__name__
        'ConvergenceWarning'
    """


class UnreliableWarning(UserWarning):
    """Draws of what is missing that can't be relied on, for some units.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", UnreliableWarning)  # stop rather than go on
        ...     pc.zoo.chain().counterfactual({"Z": 0.0}, do={"X": 1.0}, seed=0).rung
        3
    """


class IdentificationWarning(UserWarning):
    """An answer that the data don't determine: it rests on what the program assumes.

    Example:
        >>> import warnings
        >>> model = pc.zoo.bow()
        >>> seen = dict(model.sample(50, seed=0))
        >>> _ = model.fit(seen, pyro.infer.autoguide.AutoNormal, steps=2, seed=0)
        >>> with warnings.catch_warnings(record=True) as told:
        ...     warnings.simplefilter("always")
        ...     _ = model.do(X=1.0).sample(2, seed=0)
        >>> IdentificationWarning in {warning.category for warning in told}
        True
    """


class RungWarning(UserWarning):
    """An answer of a lower rung than someone may think: no counterfactual.

    Example:
        >>> import warnings
        >>> def program():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     return pyro.sample("y", dist.Normal(x, 1.0))
        >>> with warnings.catch_warnings(record=True) as told:
        ...     warnings.simplefilter("always")
        ...     _ = pc.do(pc.condition(program, y=1.0), x=0.0)()
        >>> told[0].category.__name__
        'RungWarning'
    """
