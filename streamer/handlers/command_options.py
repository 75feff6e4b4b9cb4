"""Checks of the `command` handler's options that JSON Schema cannot express. `streamer check` uses them, so imports are
light.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from streamer.contracts.components import BuildContext, OptionProblem

INHERITED: Final = ("PATH", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "TMPDIR", "TZ", "USER")
"""The variables that a program gets from our environment by default: enough to run, and no secrets."""


def problems(options: Mapping[str, Any], context: BuildContext) -> Iterator[OptionProblem]:
    """Every problem of options that are valid by the schema: whatever would prevent the program from starting."""
    argv = options["argv"]
    null = [index for index, argument in enumerate(argv) if "\0" in argument]
    yield from (
        OptionProblem(("argv", index), "it contains a null character, which programs cannot accept") for index in null
    )
    if null[:1] != [0] and (problem := _program_problem(argv[0], environment(options).get("PATH"), context)):
        yield OptionProblem(("argv", 0), problem)
    if problem := _folder_problem(argv[0], options.get("cwd", "."), context):
        yield OptionProblem(("cwd",), problem)
    for name, value in options.get("env", {}).items():
        if "\0" in value:
            yield OptionProblem(("env", name), "it contains a null character, which variables cannot contain")


def environment(options: Mapping[str, Any]) -> dict[str, str]:
    """The program's environment, without the variables that are added for each request."""
    return {**_inherited(options.get("inherit_env", False)), **options.get("env", {})}


def program(name: str, search: str | None, context: BuildContext) -> Path | None:
    """The file of a program: relative to the configuration's folder if the name has a slash, otherwise from PATH."""
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
            f"the program {name!r} was not found in PATH ({search or 'which is not set'}); install it, "
            f"or write ./{name} for a program next to the configuration file"
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
        return f"the command {name!r} cannot run in {cwd}: the folder does not exist; fix the option cwd"
    return (
        None if os.access(cwd, os.X_OK) else f"the command {name!r} may not enter the folder {cwd}; fix the option cwd"
    )
