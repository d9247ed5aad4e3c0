"""Names and values of a query as LaTeX."""

from __future__ import annotations

import re

__all__ = ["latex_of"]


def latex_of(word: str) -> str:
    r"""Return a name or a value in LaTeX: a letter with a number as subscript, a number, a word.

    Example:
        >>> print(latex_of("X1"), latex_of("x'"), latex_of("0.5"), latex_of("age_1"))
        X_{1} x' 0.5 \mathit{age\_1}
    """
    bare = word.rstrip("'")
    primes = word[len(bare) :]
    letter = re.fullmatch(r"([A-Za-z])_?(\d*)", bare)
    if letter:
        return letter[1] + (f"_{{{letter[2]}}}" if letter[2] else "") + primes
    if re.fullmatch(r"[-+]?\d[-+.\de]*", bare):
        return word
    escaped = re.sub(r"([#$%&_{}])", r"\\\1", bare)
    return rf"\mathit{{{escaped}}}{primes}"
