"""Every Python block of the README runs, in order, in one namespace, and prints what it says.

A ``text`` block right after a ``python`` block is what the Python block prints, up to white space;
``...`` in it stands for anything.
"""

import contextlib
import doctest
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

README = Path(__file__).parents[1] / "README.md"
LOOSELY = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


class Block(NamedTuple):
    """One Python block: the line above its code, the code, and what it prints (if it says so)."""

    line: int
    code: str
    printed: str | None


def blocks(text: str) -> Iterator[Block]:
    """Yield the Python blocks of a Markdown text."""
    pattern = r"^```python\n(.*?)^```\n(?:\n*^```text\n(.*?)^```$)?"
    for match in re.finditer(pattern, text, flags=re.MULTILINE | re.DOTALL):
        yield Block(text.count("\n", 0, match.start(1)), match[1], match[2])


def run(block: Block, namespace: dict[str, Any]) -> str:
    """Run a block and return what it prints."""
    # The blank lines make a traceback point to the line of the README.
    code = compile("\n" * block.line + block.code, str(README), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, namespace)
    return printed.getvalue()


def check(text: str) -> dict[str, Any]:
    """Run all blocks of a Markdown text and compare what they print with what it says."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(text):
        got = run(block, namespace)
        if block.printed is not None and not doctest.OutputChecker().check_output(
            block.printed, got, LOOSELY
        ):
            pytest.fail(f"{README.name}:{block.line}: says\n{block.printed}\nand prints\n{got}")
    return namespace


def questions(text: str) -> dict[str, list[str]]:
    """Return each question of the table of one-liners with its lines of code."""
    section = text.partition("## Questions in one line")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")][2:]
    cells = (line.strip("|").partition("|") for line in table)
    return {question.strip(): re.findall(r"`([^`]+)`", code) for question, _, code in cells}


def test_readme_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # an example may write files
    text = README.read_text(encoding="utf-8")
    namespace = check(text)
    asked = questions(text)
    assert len(asked) == 12
    for question, lines in asked.items():
        for line in lines:
            assert str(eval(line, namespace)), question


def test_blocks_share_a_namespace_and_their_output_is_compared() -> None:
    text = "```python\nx = 2\n```\n\nWords.\n\n```python\nprint(x,   x)\n```\n\n```text\n{}\n```\n"
    check(text.format("2 2"))
    check(text.format("2 ..."))
    with pytest.raises(pytest.fail.Exception, match=r"README\.md:7: says"):
        check(text.format("3 3"))


def test_text_block_after_prose_is_not_taken_for_output() -> None:
    check("```python\nprint(1)\n```\n\nA tree:\n\n```text\nroot\n```\n")
