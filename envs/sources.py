"""The files that an environment is made of: its class's own, and what they import."""

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

from envs.base import Env

ROOT = Path(__file__).resolve().parent.parent
SHARED = [ROOT / "envs" / name for name in ("__init__.py", "base.py", "registry.py")]
INSTALLED = ("site-packages", "dist-packages")  # names of the folders that packages go into


class Sources(NamedTuple):
    """What an environment is made of."""

    files: list[Path]  # of its author, in an order that does not change
    packages: list[str]  # top-level names of what else is imported and is not Python's own


def source_files(env_class: type[Env]) -> list[Path]:
    return find_sources(env_class).files


def find_sources(env_class: type[Env]) -> Sources:
    """Follow the imports of the files that define a class and those it derives from.

    They are read from the source, so that an import inside a function counts like any other. Files
    of Python, of `verifiers` and of the base of all environments are left out, and so are installed
    packages, save the one that the class itself comes from.
    """
    homes = find_homes(env_class)
    found = set[Path]()
    packages = set[str]()
    waiting = [file for file in _defining(env_class) if is_own(file, homes)]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for name, other in _imported(file):
            if is_own(other, homes):
                waiting.append(other)
            elif _package_folder(other) is not None:
                packages.add(name.partition(".")[0])
    packages |= {home.stem for home in homes}
    return Sources(sorted(found), sorted(packages))


def find_homes(env_class: type[Env]) -> list[Path]:
    """The installed packages that a class and those it derives from come from."""
    homes = set[Path]()
    for file in _defining(env_class):
        folder = _package_folder(file)
        if folder is not None and not file.is_relative_to(ROOT / "envs"):
            homes.add(folder / file.relative_to(folder).parts[0])
    return sorted(homes)


def is_own(file: Path, homes: Sequence[Path]) -> bool:
    """Whether a file is the environment author's: neither Python's nor that of a package that is
    not among `homes`, nor part of what every environment has."""
    if file in SHARED or file.is_relative_to(ROOT / "verifiers"):
        return False
    if any(file.is_relative_to(folder) for folder in (ROOT / "envs", *homes)):
        return True
    stdlib = Path(sysconfig.get_paths()["stdlib"]).resolve()
    return _package_folder(file) is None and not file.is_relative_to(stdlib)


def _package_folder(file: Path) -> Path | None:
    """The folder of installed packages that a file lies in."""
    return next((folder for folder in file.parents if folder.name in INSTALLED), None)


def _defining(env_class: type[Env]) -> Iterator[Path]:
    """The files of a class and of those it derives from."""
    for cls in env_class.__mro__:
        module = sys.modules.get(cls.__module__)
        file = inspect.getsourcefile(module) if getattr(module, "__file__", None) else None  # pyright: ignore[reportArgumentType]
        if file is not None:
            yield Path(file).resolve()


def _imported(file: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each module that a file imports, anywhere in its text; and of the packages
    that it is itself in, which are imported before it."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        yield folder.name, folder / "__init__.py"
        folder = folder.parent
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # not loaded so far, or it would have been noticed
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _located(alias.name, [*sys.path, str(file.parent)])
        elif isinstance(node, ast.ImportFrom):
            # What is imported from a package may be a module of it.
            names = [f"{node.module or ''}.{alias.name}".lstrip(".") for alias in node.names]
            folders = [*sys.path, str(file.parent)]
            if node.level:
                folders = [str(file.parents[min(node.level, len(file.parents)) - 1])]
            for name in names:
                yield from _located(name, folders, absolute=not node.level)


def _located(
    name: str, folders: Sequence[str], *, absolute: bool = True
) -> Iterator[tuple[str, Path]]:
    """Name and file of every module on the way to a dotted name, found without importing any."""
    loaded = sys.modules.get(name.partition(".")[0]) if absolute else None
    for place, part in enumerate(name.split(".")):
        spec = PathFinder.find_spec(part, folders)
        origin = spec.origin if spec is not None and spec.has_location else None
        inside = spec.submodule_search_locations if spec is not None else None
        if place == 0 and loaded is not None:  # by whatever finder, and so the one that is used
            origin = getattr(loaded, "__file__", None)
            inside = getattr(loaded, "__path__", None)
        if origin is not None and origin.endswith(".py"):
            yield name, Path(origin).resolve()
        if inside is None:
            return
        folders = list(inside)
