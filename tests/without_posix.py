"""Take from Python what Windows does not have: ``import without_posix`` before anything of ours.

The packages we use have their own builds for Windows; they are imported first, and keep what they found.
"""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import sys
import time

THIRD = (
    *("numpy", "numba", "h5py", "scipy.ndimage", "scipy.io", "PIL.Image", "joblib", "click", "xxhash"),
    *("filelock", "platformdirs", "tqdm", "subprocess", "multiprocessing.context", "tempfile"),
    *("multiprocessing.spawn", "torch", "torch.utils.data", "safetensors.torch", "torch.utils.tensorboard"),
)
MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
CALLS = (
    *("chown", "fchmod", "fchown", "fork", "getegid", "geteuid", "getgid", "getloadavg", "getuid", "killpg"),
    *("mkfifo", "posix_fadvise", "pread", "preadv", "pwrite", "pwritev", "sched_getaffinity"),
    *("sync", "sysconf", "uname", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"),
)

for _name in THIRD:
    with contextlib.suppress(ImportError):  # torch is an extra
        importlib.import_module(_name)
filelock = importlib.import_module("filelock")
filelock.FileLock = filelock.SoftFileLock  # its class for Windows is not at hand, that for POSIX needs POSIX
for _name in MODULES:
    sys.modules[_name] = None
for _name in CALLS:
    if hasattr(os, _name):
        delattr(os, _name)
for _name in [_name for _name in dir(mmap) if _name.startswith(("MADV_", "MAP_", "PROT_"))]:
    delattr(mmap, _name)
for _name in [_name for _name in dir(time) if _name.startswith(("CLOCK_", "clock_"))]:
    delattr(time, _name)
