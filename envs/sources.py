"""The files that an environment is made of."""

import inspect
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from envs.base import Env

ROOT = Path(__file__).resolve().parent.parent
SHARED = ("envs.base", "envs.registry")  # known to every environment; hashed with the suite


def source_files(env_class: type[Env]) -> list[Path]:
    """The file of the class, and every file that it uses, as far as neither Python nor an installed
    package nor `verifiers` and the base of all environments own it. The same order every time."""
    found: dict[str, Path] = {}
    waiting = [cls.__module__ for cls in env_class.__mro__]
    while waiting:
        name = waiting.pop()
        file = _own_file(name)
        if file is None or name in found:
            continue
        found[name] = file
        waiting += _modules_used(sys.modules[name])
    return [found[name] for name in sorted(found)]


def _own_file(name: str) -> Path | None:
    """The file of a loaded module; None where somebody else is responsible for it."""
    module = sys.modules.get(name)
    if module is None or name in SHARED or name.partition(".")[0] in ("verifiers", "builtins"):
        return None
    file = inspect.getsourcefile(module) if getattr(module, "__file__", None) else None
    if file is None:
        return None
    path = Path(file).resolve()
    if not path.is_relative_to(ROOT / "envs"):
        paths = sysconfig.get_paths()
        foreign = {Path(paths[key]).resolve() for key in ("stdlib", "purelib", "platlib")}
        if any(path.is_relative_to(folder) for folder in foreign):
            return None
    return path


def _modules_used(module: ModuleType) -> list[str]:
    """Names of the modules that a module's globals are, or come from."""
    names = []
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else None
        name = name or getattr(value, "__module__", None)
        if isinstance(name, str):
            names.append(name)
    return names
