"""Which line of the user's program does a thing."""

import linecache
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pyro
import torch

__all__ = ["Place", "line_of_error", "line_that_changes", "place_now", "where_now", "words_of"]

ROOT: Final = Path(__file__).parents[1]
NOT_OF_THE_USER: Final = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    str(Path(torch.__file__).parent),
    str(Path(pyro.__file__).parent),
    *(str(ROOT / room) for room in ("capture", "engine", "fitting", "handlers", "verbs")),
    "<frozen",
    "<string>",  # what torch makes as it traces
)


Place = tuple[CodeType, int]


def place_now() -> Place | None:
    """Return the innermost place of the program that is being run."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _of_the_user(frame.f_code):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lineno)


def where_now() -> str | None:
    """Return the line of the program that is being run."""
    return words_of(place_now())


def words_of(place: Place | None) -> str | None:
    """Write a place as file, line and code."""
    if place is None:
        return None
    code, number = place
    text = linecache.getline(code.co_filename, number).strip()
    return f"{Path(code.co_filename).name}:{number}" + (f": {text}" if text else "")


def line_of_error(error: BaseException) -> str | None:
    """Return the innermost line of the program in an error's traceback."""
    found, step = None, error.__traceback__
    while step is not None:
        if _of_the_user(step.tb_frame.f_code):
            found = words_of((step.tb_frame.f_code, step.tb_lineno))
        step = step.tb_next
    return found


def line_that_changes(run: Callable[[], object], read: Callable[[], Any]) -> str | None:
    """Run something and return the first line of the program after which ``read`` tells else.

    Args:
        run: Runs the program; what it raises is let go, since only the line is asked for.
        read: Reads the state in question.
    """
    before, last, found = read(), dict[int, int](), None

    def on_event(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal found
        if found is not None or not _of_the_user(frame.f_code):
            return None
        if id(frame) in last and read() != before:
            found = words_of((frame.f_code, last[id(frame)]))
            return None
        last[id(frame)] = frame.f_lineno
        return on_event

    tracer = sys.gettrace()
    sys.settrace(on_event)
    try:
        run()
    except Exception:
        return found
    finally:
        sys.settrace(tracer)
    return found


@cache
def _of_the_user(code: CodeType) -> bool:
    return not code.co_filename.startswith(NOT_OF_THE_USER)
