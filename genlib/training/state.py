"""The state a resume needs, as one safetensors file: weights, averages, optimizers, running sums, counters.

No random state: each step seeds its own streams (`genlib.training.steps.step_seed`).
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.training import files


def save(
    path: Path,
    model: nn.Module,
    average: nn.Module | None,
    optimizers: Any,
    sums: dict[str, Tensor],
    counters: dict[str, float],
) -> None:
    """Write everything in one atomic step, so that no part is ever newer than another."""
    tensors: dict[str, Tensor] = {f"model/{name}": value for name, value in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    groups: dict[str, Any] = {}
    for name, optimizer in optimizers.named.items():
        content = optimizer.state_dict()
        groups[name] = content["param_groups"]
        for index, values in content["state"].items():
            for key, value in values.items():
                if value is not None:
                    tensors[f"optimizer/{name}/{index}/{key}"] = torch.as_tensor(value)
    tensors |= {f"sum/{name}": value for name, value in sums.items()}
    metadata = {"counters": json.dumps(counters), "groups": json.dumps(groups)}
    files.write_tensors(path, tensors, metadata)


def load(
    path: Path, model: nn.Module, average: nn.Module | None, optimizers: Any, device: torch.device
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Put a saved state back; returns the counters and the running sums. A broken file is a `GenlibError`."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        counters, groups = json.loads(metadata["counters"]), json.loads(metadata["groups"])
        counters = {name: float(value) for name, value in counters.items()}
        model.load_state_dict(_under(tensors, "model/"))
        if average is not None:
            average.load_state_dict(_under(tensors, "average/"))
        for name, optimizer in optimizers.named.items():
            _load_optimizer(optimizer, _under(tensors, f"optimizer/{name}/"), groups[name])
    except (
        SafetensorError,
        OSError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        RuntimeError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise GenlibError(f"The saved state {path} cannot be resumed ({reason}): start a new run.") from None
    return counters, {name: value.to(device) for name, value in _under(tensors, "sum/").items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], groups: list[dict[str, Any]]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    values: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, field = key.partition("/")
        like = parameters[int(index)]
        if (
            tensor.shape == like.shape
        ):  # laid out in memory as before: then the same kernels run, with the same last bits
            tensor = torch.empty_like(like, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
        values.setdefault(int(index), {})[field] = tensor
    optimizer.load_state_dict({"state": values, "param_groups": groups})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
