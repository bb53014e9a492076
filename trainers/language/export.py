"""Agents as folders that plain transformers and peft load."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainers.checkpoint import RunError

if TYPE_CHECKING:
    from trainers.language.backbone import Backbone

BASE = "base"  #: the folder, beside an adapter's, of a base that was made in memory


def export(backbone: Backbone, folder: Path, adapter: str | None) -> Path:
    """Write an adapter as peft does: adapter_model.safetensors, adapter_config.json, and the tokenizer.

    A base that came from a folder or the hub is named in adapter_config.json; one that was made in memory is written
    too, once, to the folder "base" beside the adapter's. Then `AutoModelForCausalLM.from_pretrained(base)` and
    `PeftModel.from_pretrained(model, folder)` speak as the agent does.

    Args:
        folder: where to; it must not be there, and appears whole.
        adapter: its name; None writes nothing but the base, to the folder itself.

    Returns:
        Where the base is.

    Raises:
        RunError: the folder is there, or the adapter is unknown.
    """
    if adapter is None:
        if not folder.exists():
            _whole(folder, lambda part: _write_base(backbone, part))
            return folder
        raise RunError(f"{folder}: is there already")
    backbone.adapters.named(adapter)
    if folder.exists():
        raise RunError(f"{folder}: is there already")
    base = Path(backbone.origin) if backbone.origin is not None else folder.resolve().parent / BASE
    if backbone.origin is None and not base.exists():
        _whole(base, lambda part: _write_base(backbone, part))
    _whole(folder, lambda part: _write_adapter(backbone, part, adapter, base))
    return base


def _whole(folder: Path, write: Any) -> None:
    """Let `write` fill a folder that nobody sees a part of."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write(part)
        os.chmod(part, 0o755)
        os.replace(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write_adapter(backbone: Backbone, folder: Path, adapter: str, base: Path) -> None:
    from safetensors.torch import save_file

    config = backbone.adapters.config()
    # names in full, so that "all-linear" means the same whatever reads it
    config.target_modules = sorted({name.rpartition(".")[2] for name in backbone.adapters.layers})
    config.base_model_name_or_path, config.inference_mode = str(base), True
    config.save_pretrained(folder)
    tensors = {
        f"base_model.model.{name}": value.detach().cpu().contiguous()
        for name, value in backbone.adapters.named(adapter).items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    backbone.tokenizer.save_pretrained(folder)


def _write_base(backbone: Backbone, folder: Path) -> None:
    """The model as it was before adapters were put in."""
    from transformers import AutoModelForCausalLM

    weights = {
        name.replace(".base_layer.", "."): value
        for name, value in backbone.model.state_dict().items()
        if ".lora_" not in name
    }
    with torch.random.fork_rng(devices=[]):
        plain = AutoModelForCausalLM.from_config(backbone.model.config, dtype=backbone.settings.torch_dtype)
    plain.load_state_dict(weights)
    plain.generation_config = backbone.generation_config
    plain.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
