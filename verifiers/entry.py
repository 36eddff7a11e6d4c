"""Find a function or class by name: `package.module:name` or `path/to/file.py:name`."""

import importlib
import importlib.util
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any


def load(entry: str) -> Any:
    """The object that `entry` names. A path is relative to the current directory.

    Raises:
        ImportError: no such module or file, or it has no such name; the message says which.
        Exception: whatever the module raises while it is imported.
    """
    where, colon, name = entry.rpartition(":")
    if not colon or not where or not name:
        raise ImportError(f"'{entry}' must read 'module:name' or 'path/to/file.py:name'")
    module = load_module(where)
    if not hasattr(module, name):
        public = sorted(n for n in vars(module) if not n.startswith("_"))
        raise ImportError(f"'{where}' has no '{name}'; it has {', '.join(public) or 'nothing'}")
    return getattr(module, name)


def load_module(where: str) -> ModuleType:
    """Import a dotted module name, or a file whose name ends in `.py`."""
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where).resolve()
    if not path.is_file():
        raise ImportError(f"no file '{where}' (looked for {path})")
    name = f"{path.stem}_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"'{path}' cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
