"""Where training runs: on one device, or in several processes that torchrun started. Lightning Fabric does the work."""

import logging
import os

import torch
from lightning_fabric import Fabric

from genlib.errors import GenlibError
from genlib.training.run import process_rank

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would report the precision at every start


def launch(device: torch.device, precision: str, batch_size: int) -> Fabric:
    """Fabric for this process, ready for collective operations.

    ``precision`` is a config's; ``batch_size`` images are split evenly over the processes, or it is a `GenlibError`.
    Several processes or machines are started by torchrun; nothing starts any here.
    """
    half = precision == "bf16" or (precision == "auto" and bfloat16_in_hardware(device))
    processes, here = 1, 1
    if process_rank() is not None:
        processes, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if batch_size % processes:
        raise GenlibError(
            f"A batch of {batch_size} images cannot be split evenly over {processes} processes: "
            f"set batch_size to a multiple of {processes}."
        )
    chosen: int | list[int] = here
    if processes == 1 and device.index is not None:
        chosen = [device.index]
    fabric = Fabric(
        accelerator=device.type,
        precision="bf16-mixed" if half else "32-true",
        strategy="ddp" if processes > 1 else "auto",
        devices=chosen,
        num_nodes=processes // here,
    )
    fabric.launch()
    return fabric


def bfloat16_in_hardware(device: torch.device) -> bool:
    """Whether bfloat16 pays: CUDA from Ampere on, CPUs with matrix tiles (AMX)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()
