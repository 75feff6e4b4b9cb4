"""The deployable folder: this project, the plugins and all that they need as Lambda runs it, and the service's files.

pip chooses the wheels for Lambda's platform whatever this machine is. What is installed here from a folder is built
from that folder; everything else is taken from the package index in the version that is installed here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from streamer.config.settings import Settings
from streamer_aws.sam.errors import ExportError

OWN: Final = "streamer-router"
PLUGIN: Final = "streamer-aws"
"""This plugin, which the functions' entry points belong to."""
SERVICE: Final = "service"
"""The folder inside of the package that the configuration lies in; what it names by relative paths lies beside it."""
MARK: Final = ".streamer-package"
"""Tells a folder that was made here, and may be replaced, from any other."""
LARGEST: Final = 250 * 1024 * 1024
"""Bytes; a larger package Lambda refuses."""
PLATFORMS: Final = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
"""Of wheels. The second needs the newer system under Python 3.12 and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What was made."""

    files: frozenset[Path]
    """The service's own files that went in, where they come from."""
    size: int
    """Bytes of everything."""


def build(
    folder: Path, settings: Settings, plugins: Iterable[str], *, python: str, include: Sequence[Path] = ()
) -> Package:
    """Makes the folder, or makes it anew when it was made by this.

    Args:
        folder: where; its parent is made as well.
        settings: of the checked file.
        plugins: distributions beside this project's own.
        python: version of the functions' runtime, such as `3.13`.
        include: further files and folders that the service needs; relative ones from the configuration's folder.

    Raises:
        ExportError: the folder is somebody else's, a file lies where it cannot be packed, or pip failed.
    """
    if folder.exists() and not (folder / MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder}: it is there and was not made by this command; name another, or empty it")
    files = service_files(settings, include)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary, "package")
        _install(made, Path(temporary, "wheels"), plugins, python)
        _copy(settings, files, made / SERVICE)
        (made / MARK).write_text("made by 'streamer export sam --package', which replaces it as a whole\n")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Package(files=frozenset(path.resolve() for path in files), size=size)


def service_files(settings: Settings, include: Sequence[Path] = ()) -> list[Path]:
    """What goes in beside the configuration: the files of its schemas, and what is asked for. Absolute, in order.

    Raises:
        ExportError: one is not there, or lies outside of the configuration's folder.
    """
    found: set[Path] = set()
    for action in settings.actions.values():
        found |= {path for path in (action.schema_path, action.result_schema_path) if path is not None}
        for uri in (*action.schema_resources, *action.result_schema_resources):
            parts = urlsplit(uri)
            if parts.scheme == "file":
                found.add(Path(unquote(parts.path)))
    found.discard(settings.path)
    for written in include:
        path = settings.base_dir / written
        if not path.exists():
            raise ExportError(f"--include {written}: {path} is not there")
        found |= {each for each in path.rglob("*") if each.is_file()} if path.is_dir() else {path}
    for path in sorted(found):
        if not path.resolve().is_relative_to(settings.base_dir.resolve()):
            raise ExportError(
                f"{path}: it lies outside of {settings.base_dir}, so its relative path would lead nowhere on Lambda; "
                "move it below that folder"
            )
    return sorted(found)


def requirements(distributions: Iterable[str], wheels: Path) -> list[str]:
    """What pip is asked for: a version of the index, or a wheel of what is installed here from a folder or a file.

    Args:
        distributions: installed ones.
        wheels: an empty folder for the wheels that are built.

    Raises:
        ExportError: a wheel cannot be built.
    """
    asked = []
    for name in dict.fromkeys([OWN, PLUGIN, *distributions]):
        found = metadata.distribution(name)
        origin = json.loads(found.read_text("direct_url.json") or "{}").get("url", "")
        if not origin:
            asked.append(f"{name}=={found.version}")
            continue
        source = unquote(urlsplit(origin).path) if origin.startswith("file:") else origin
        target = wheels / name
        _pip("wheel", "--no-deps", "--wheel-dir", str(target), source)
        (wheel,) = target.glob("*.whl")
        asked.append(f"{name} @ {wheel.as_uri()}")
    return asked


def _install(folder: Path, wheels: Path, plugins: Iterable[str], python: str) -> None:
    modern = tuple(map(int, python.split("."))) >= (3, 12)
    platforms = PLATFORMS if modern else PLATFORMS[:1]
    _pip(
        "install",
        "--target",
        str(folder),
        *(part for platform in platforms for part in ("--platform", platform)),
        *("--implementation", "cp", "--python-version", python, "--only-binary=:all:", "--no-compile"),
        *requirements(plugins, wheels),
    )


def _copy(settings: Settings, files: Iterable[Path], folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(settings.path, folder / "streamer.yaml")
    for path in files:
        target = folder / path.relative_to(settings.base_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        # With its mode: a program that a `command` starts stays one.
        shutil.copy(path, target)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, our own words
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.strip()]
        raise ExportError("\n".join([f"pip {arguments[0]} failed:", *told[-10:]]))
