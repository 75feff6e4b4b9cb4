"""What the JSON Schema of the `command` handler's options cannot say; `streamer check` uses it: no import is heavy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from streamer.contracts.components import BuildContext, OptionProblem

INHERITED: Final = ("PATH", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "TMPDIR", "TZ", "USER")
"""What a program gets of our environment unless the file says more: enough to run, and none of our secrets."""


def problems(options: Mapping[str, Any], context: BuildContext) -> Iterator[OptionProblem]:
    """Every problem of options whose shape is right: what would keep the program from being started."""
    argv = options["argv"]
    null = [index for index, argument in enumerate(argv) if "\0" in argument]
    yield from (
        OptionProblem(("argv", index), "it holds a null character, which no program can take") for index in null
    )
    if null[:1] != [0] and (problem := _program_problem(argv[0], environment(options).get("PATH"), context)):
        yield OptionProblem(("argv", 0), problem)
    if problem := _folder_problem(argv[0], options.get("cwd", "."), context):
        yield OptionProblem(("cwd",), problem)
    for name, value in options.get("env", {}).items():
        if "\0" in value:
            yield OptionProblem(("env", name), "it holds a null character, which no variable can have")


def environment(options: Mapping[str, Any]) -> dict[str, str]:
    """The program's environment, but for what is added for each request."""
    return {**_inherited(options.get("inherit_env", False)), **options.get("env", {})}


def program(name: str, search: str | None, context: BuildContext) -> Path | None:
    """The file of a program: one with a slash from the configuration's folder, one without from PATH."""
    if "/" in name:
        return context.path(name)
    found = shutil.which(name, path=search)
    return None if found is None else Path(found).absolute()


def _inherited(choice: bool | Sequence[str]) -> dict[str, str]:
    if choice is True:
        return dict(os.environ)
    names = INHERITED if choice is False else (*INHERITED, *choice)
    return {name: os.environ[name] for name in names if name in os.environ}


def _program_problem(name: str, search: str | None, context: BuildContext) -> str | None:
    path = program(name, search, context)
    if path is None:
        return (
            f"the program {name!r} is not found in PATH ({search or 'which is not set'}); install it, "
            f"or write ./{name} for one beside the configuration file"
        )
    if not path.is_file():
        return (
            f"the program {name!r} does not exist as a file at {path}; "
            f"a path in argv is relative to the configuration file's folder"
        )
    return None if os.access(path, os.X_OK) else f"the program {name!r} is not executable; try: chmod +x {path}"


def _folder_problem(name: str, written: str, context: BuildContext) -> str | None:
    if "\0" in written:
        return "this is not a path"
    cwd = context.path(written)
    if not cwd.is_dir():
        return f"the command {name!r} cannot run in {cwd}: there is no such folder; fix the option cwd"
    return None if os.access(cwd, os.X_OK) else f"the command {name!r} may not enter the folder {cwd}"
