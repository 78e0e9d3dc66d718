"""Plain C, compiled on the user's machine when it is first needed.

`library` turns a C source file into a loaded shared library. The compiled file is kept in the user's cache folder under
a name made from the source, the compiler, its flags and the processor, so it is made once a machine and never stale.
Without a compiler, or with ``GENLIB_NATIVE=0``, there is no library: callers then take their eager path, which gives the
same results more slowly, and one warning in the log says so.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-std=gnu11")
TARGETS = (("-march=native",), ("-mcpu=native",), ())  # the first that the compiler knows is used
PATIENCE = 120.0  # seconds a compiler may take

_log = logging.getLogger(__name__)


@cache
def library(source: Path) -> ctypes.CDLL | None:
    """The compiled library of a C file, or None (with one logged warning) where it cannot be had."""
    if os.environ.get("GENLIB_NATIVE", "1") == "0":
        return None
    try:
        return ctypes.CDLL(str(_compiled(source)))
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("%s is not compiled (%s): its slower eager version is used, with the same results.", source, error)
        return None


def _compiled(source: Path) -> Path:
    """The shared library of a source, from the cache or made now. `OSError` says why there is none."""
    compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("gcc", "clang", "cc"))), None)
    if compiler is None:
        raise OSError("there is no C compiler: install gcc or clang")
    recipe = "\n".join([compiler, *FLAGS, _processor(), source.read_text()])
    name = f"{source.stem}-{hashlib.blake2b(recipe.encode(), digest_size=10).hexdigest()}.so"
    kept = Path(platformdirs.user_cache_dir("genlib")) / "native" / name
    if kept.is_file():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:  # several processes may be at it: each its own, then
        made = Path(folder) / name  # one replaces the other's equal file
        for target in TARGETS:
            command = [*compiler.split(), *FLAGS, *target, "-o", str(made), str(source)]
            result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            if result.returncode == 0:
                os.replace(made, kept)
                return kept
    raise OSError(f"{compiler} says: {' '.join(result.stderr.split())[:300]}")


def _processor() -> str:
    """What -march=native depends on. A cache folder may be shared by several machines."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(errors="replace").splitlines() if table.is_file() else []
    features = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(features))])
