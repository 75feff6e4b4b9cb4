"""The deployment package: this project, the plugins and their dependencies for Lambda, and the service's files.

pip chooses wheels for Lambda's platform, whatever this machine is. Distributions that are installed here from a folder
are built from that folder; all others come from the package index, in the version that is installed here.
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
"""This plugin, which contains the functions' entry points."""
SERVICE: Final = "service"
"""The folder of the configuration inside the package; files with relative paths are next to it."""
MARK: Final = ".streamer-package"
"""Marks a folder that was created here and may be replaced."""
LARGEST: Final = 250 * 1024 * 1024
"""Bytes; Lambda refuses a larger package."""
PLATFORMS: Final = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
"""Of wheels. The second requires the newer system of Python 3.12 and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The created package."""

    files: frozenset[Path]
    """The service's own files in it, by their original paths."""
    size: int
    """Bytes of everything."""


def build(
    folder: Path, settings: Settings, plugins: Iterable[str], *, python: str, include: Sequence[Path] = ()
) -> Package:
    """Creates the folder, or replaces one that was created by this function.

    Args:
        folder: the folder; its parent is created too.
        settings: of the checked file.
        plugins: distributions in addition to this project's own.
        python: version of the functions' runtime, such as `3.13`.
        include: additional files and folders of the service; relative ones start from the configuration's folder.

    Raises:
        ExportError: the folder belongs to something else, a file cannot be packed because of its location, or pip
            failed.
    """
    if folder.exists() and not (folder / MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(
            f"{folder} already exists and was not created by this command; choose another folder, or empty it"
        )
    files = service_files(settings, include)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary, "package")
        _install(made, Path(temporary, "wheels"), plugins, python)
        _copy(settings, files, made / SERVICE)
        (made / MARK).write_text("created by 'streamer export sam --package', which replaces it completely\n")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Package(files=frozenset(path.resolve() for path in files), size=size)


def service_files(settings: Settings, include: Sequence[Path] = ()) -> list[Path]:
    """The files next to the configuration: its schemas, and the included ones. Absolute, in order.

    Raises:
        ExportError: a file does not exist, or is outside of the configuration's folder.
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
            raise ExportError(f"--include {written}: {path} does not exist")
        found |= {each for each in path.rglob("*") if each.is_file()} if path.is_dir() else {path}
    for path in sorted(found):
        if not path.resolve().is_relative_to(settings.base_dir.resolve()):
            raise ExportError(
                f"{path} is outside of {settings.base_dir}, so its relative path would be invalid on Lambda; "
                "move it into that folder"
            )
    return sorted(found)


def requirements(distributions: Iterable[str], wheels: Path) -> list[str]:
    """The requirements for pip: a version from the index, or a wheel of what is installed here from a folder or a file.

    Args:
        distributions: installed ones.
        wheels: an empty folder for built wheels.

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
        # With its mode, so that the program of a `command` stays executable.
        shutil.copy(path, target)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, our own words
    if done.returncode:
        output = [line for line in done.stderr.splitlines() if line.strip()]
        raise ExportError("\n".join([f"pip {arguments[0]} failed:", *output[-10:]]))
