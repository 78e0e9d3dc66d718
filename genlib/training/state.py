"""The state a resume needs, as one safetensors file: weights, averages, optimizers, random streams, counters."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.training import files


def save(path: Path, model: nn.Module, average: nn.Module | None, optimizers: Any, sums: dict[str, Tensor], counters: dict[str, float]) -> None:
    """Write everything in one atomic step, so that no part is ever newer than another."""
    tensors: dict[str, Tensor] = {f"model/{name}": value for name, value in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    groups: dict[str, Any] = {}
    for name, optimizer in optimizers.named.items():
        packed = optimizer.state_dict()
        groups[name] = packed["param_groups"]
        for index, values in packed["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": torch.as_tensor(value) for key, value in values.items() if value is not None}
    tensors |= {f"sum/{name}": value for name, value in sums.items()}
    tensors["random/stream"] = optimizers.generator.get_state()
    tensors["random/torch"] = torch.get_rng_state()
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {"counters": json.dumps(counters), "groups": json.dumps(groups)}
    files.replace(path, lambda temporary: save_file(contiguous, temporary, metadata))


def load(path: Path, model: nn.Module, average: nn.Module | None, optimizers: Any, device: torch.device) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Put a saved state back; returns the counters and the running sums. A broken file is a `GenlibError`."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        counters, groups = json.loads(metadata["counters"]), json.loads(metadata["groups"])
        model.load_state_dict(_under(tensors, "model/"))
        if average is not None:
            average.load_state_dict(_under(tensors, "average/"))
        for name, optimizer in optimizers.named.items():
            values: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _under(tensors, f"optimizer/{name}/").items():
                index, _, field = key.partition("/")
                values.setdefault(int(index), {})[field] = tensor
            optimizer.load_state_dict({"state": values, "param_groups": groups[name]})
        optimizers.generator.set_state(tensors["random/stream"])
        torch.set_rng_state(tensors["random/torch"])
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise GenlibError(f"The saved state {path} cannot be resumed ({str(error).splitlines()[0]}): start a new run.") from None
    return counters, {name: value.to(device) for name, value in _under(tensors, "sum/").items()}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
