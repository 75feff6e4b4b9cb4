"""The environment variables in a file, and their parameters in a template. Pure functions.

A variable becomes a parameter of the template. The current environment is never read: the same file gives the same
template everywhere, without secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from streamer_aws.sam.errors import ExportError

FairKey = tuple[str | int, ...]

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}\n]*))?\}", re.ASCII)
_SETTABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]+", re.ASCII)
"""Valid names of variables on Lambda."""
_GIVEN: Final = frozenset(
    {
        # Set by Lambda, which does not allow others to set them.
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME"),
        *("AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
        # Set by the template.
        *("STREAMER_CONFIG", "STREAMER_QUEUE_URL", "STREAMER_RETRY_QUEUE_URL"),
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI",
    }
)
"""Variables that need no parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of the environment in the file."""

    name: str
    default: str | None
    """None: it has no default, or several different ones, or is secret."""
    secret: bool
    parameter: str
    """The logical name of its parameter."""


def variables(raw: Any, secret_places: AbstractSet[FairKey]) -> tuple[Variable, ...]:
    """Every variable that a function needs, in the order of the names.

    Args:
        raw: the file's data before anything was filled in.
        secret_places: `Settings.secret_places`.

    Raises:
        ExportError: Lambda does not allow the name of a variable.
    """
    defaults: dict[str, set[str | None]] = {}
    secret: set[str] = set()
    for place, text in texts(raw):
        for name, default in _references(text):
            defaults.setdefault(name, set()).add(default)
            if place in secret_places:
                secret.add(name)
    names = sorted(defaults.keys() - _GIVEN)
    for name in names:
        if not _SETTABLE.fullmatch(name):
            raise ExportError(
                f"${{{name}}}: Lambda requires names of at least two characters that start with a letter; rename it"
            )
    parameters: dict[str, str] = {}
    for name in names:
        parameters[name] = _parameter(name, set(parameters.values()))
    return tuple(
        Variable(
            name=name,
            default=next(iter(defaults[name])) if len(defaults[name]) == 1 and name not in secret else None,
            secret=name in secret,
            parameter=parameters[name],
        )
        for name in names
    )


def substituted(text: str, known: tuple[Variable, ...], place: str) -> Any:
    """A text of the file as an expression of the template: the text itself, or `Fn::Sub` with the parameters of its
    variables.

    Args:
        text: before anything was filled in.
        known: all variables.
        place: for the error.

    Raises:
        ExportError: it contains a variable that only a running function has.
    """
    parameters = {variable.name: variable.parameter for variable in known}
    for name, _ in _references(text):
        if name not in parameters:
            raise ExportError(
                f"{place}: ${{{name}}} is known only inside a running function; use another variable in names"
            )

    def parameter(match: re.Match[str]) -> str:
        return "${!" if match[1] is None else f"${{{parameters[match[1]]}}}"

    made = _REFERENCE.sub(parameter, text)
    return made if made == text else {"Fn::Sub": made}


def definitions(known: tuple[Variable, ...]) -> dict[str, Any]:
    """The template's parameters. A secret is never shown, and has no default: it must be entered at deployment."""
    made: dict[str, Any] = {}
    for variable in known:
        described: dict[str, Any] = {"Type": "String", "Description": f"{variable.name} of the service's file"}
        if variable.secret:
            described["NoEcho"] = True
        if variable.default is not None:
            described["Default"] = variable.default
        if variable.default != "":
            described["MinLength"] = 1
        made[variable.parameter] = described
    return made


def texts(value: Any, place: FairKey = ()) -> Iterator[tuple[FairKey, str]]:
    """Every text of plain data, with its place."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*place, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts(item, (*place, index))
    elif isinstance(value, str):
        yield place, value


def _references(text: str) -> Iterator[tuple[str, str | None]]:
    for match in _REFERENCE.finditer(text):
        if match[1] is not None:
            yield match[1], match[2]


def _parameter(name: str, taken: set[str]) -> str:
    # CloudFormation allows only letters and digits, so two names may become equal.
    plain = "Env" + "".join(part[:1].upper() + part[1:].lower() for part in name.split("_"))
    number = 1
    while (made := plain if number == 1 else f"{plain}{number}") in taken:
        number += 1
    return made
