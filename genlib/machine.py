"""The machine: which one it is, in a few words, for cards and for every measured time; and how it keeps memory."""

import ctypes
import os
import platform
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc


def machine() -> str:
    """Processor, cores, accelerator."""
    name = platform.processor() or platform.machine()
    table = Path("/proc/cpuinfo")
    if table.is_file():  # Linux; elsewhere the platform's own name will do
        lines = table.read_text(errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, for training: every step asks for the same large blocks again.

    glibc would hand each block back to the system and fetch it anew, and every page of a new block is cleared by the kernel
    first: a third of a convolutional network's training step. Where the C library is another one, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if platform.libc_ver()[0] == "glibc" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
