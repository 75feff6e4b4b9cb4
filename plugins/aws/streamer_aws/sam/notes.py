"""Notes about a file before it is deployed. They do not prevent the export. Pure functions, except for checking whether
files exist.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from streamer.config.document import spell
from streamer.config.paths import located
from streamer.config.settings import Settings
from streamer_aws.sam.timing import misfits
from streamer_aws.sam.variables import texts


def notes(settings: Settings, raw: Any) -> Iterator[str]:
    """One sentence each.

    Args:
        settings: of the checked file.
        raw: the same file's data before the environment was filled in.
    """
    yield from misfits(settings)
    if settings.auth.name == "none":
        yield "auth: clients are not authenticated, so everybody who knows the URL may connect"
    if "region" in settings.backends.store.options:
        region = settings.backends.store.options["region"]
        yield f"backends.store.region: the functions use tables in {region}, so deploy there"
    for place, text in texts(raw):
        if place in settings.secret_places and "${" not in text:
            yield f"{spell(place)}: the file and the package contain the secret itself; write ${{NAME}} instead"


def left_out(settings: Settings, raw: Any, packed: Collection[Path]) -> Iterator[str]:
    """One sentence for each file that the configuration seems to name and that is not in the package.

    Args:
        settings: of the checked file.
        raw: the same file's data before the environment was filled in.
        packed: the files in the package, absolute.
    """
    within = {folder for path in packed for folder in (path, *path.parents)}
    for place, text in texts(raw):
        if place[0] in ("server", "service", "logs") or "${" in text or "\n" in text or "/" not in text:
            continue
        path = located(settings.base_dir, text)
        if path.is_relative_to(settings.base_dir) and path.exists() and path.resolve() not in within:
            yield f"{spell(place)}: {text!r} is not in the package; if it is needed, add --include {text}"
