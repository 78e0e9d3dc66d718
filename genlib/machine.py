"""Which machine this is, in a few words: for cards and for every measured time."""

import os
import platform
from pathlib import Path

import torch


def machine() -> str:
    """Processor, cores, accelerator."""
    name = platform.processor() or platform.machine()
    table = Path("/proc/cpuinfo")
    if table.is_file():  # Linux; elsewhere the platform's own name will do
        lines = table.read_text(errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"
