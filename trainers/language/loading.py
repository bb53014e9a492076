"""Models and tokenizers from folders and the hub, with one clear error for whatever is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.checkpoint import RunError

if TYPE_CHECKING:
    from trainers.language.backbone import ModelSettings

WEIGHTS = "*.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "spiece.model")


def find_folder(settings: ModelSettings) -> Path | None:
    """The folder that the path names; None where it is a hub name."""
    from trainers.language.backbone import BUILTIN

    if settings.path == BUILTIN:
        raise RunError("model.path is builtin: that model is made in memory, not loaded; give a folder or a hub name")
    folder = Path(settings.path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise RunError(f"{settings.path}: a file; a model is a folder with config.json, weights and tokenizer")
    if settings.path.startswith(("/", ".", "~", os.sep)) or settings.path.count("/") > 1:
        raise RunError(f"{settings.path}: no such folder (a hub name looks like owner/model)")
    return None


def need_libraries() -> None:
    """See that transformers and peft are there; ImportError says how they come."""
    try:
        import peft  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ImportError("language models need transformers and peft: pip install 'swarm-env[llm]'") from error


def first_line(error: Exception) -> str:
    """What an error says first; transformers' go on for pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _named(settings: ModelSettings, folder: Path | None) -> str:
    return settings.path if folder is not None else f"{settings.path} (no folder here, so a name on the hub)"


def load_tokenizer(settings: ModelSettings) -> Any:
    """AutoTokenizer's.

    Raises:
        RunError: no such model, or it has no tokenizer.
    """
    need_libraries()
    from transformers import AutoTokenizer

    folder = find_folder(settings)
    if folder is not None and not any((folder / name).is_file() for name in TOKENIZERS):
        raise RunError(f"{settings.path}: no tokenizer there (none of {', '.join(TOKENIZERS[:3])}, ...)")
    try:
        return AutoTokenizer.from_pretrained(
            folder or settings.path, trust_remote_code=settings.trust_remote_code, padding_side="left"
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise RunError(f"{_named(settings, folder)}: its tokenizer cannot be loaded: {first_line(error)}") from error


def load_model(settings: ModelSettings) -> Any:
    """AutoModelForCausalLM's, on the CPU, in settings.dtype.

    Raises:
        RunError: no such model, no weights, weights that are pickles, or weights that lack part of the model.
    """
    from transformers import AutoModelForCausalLM

    folder = find_folder(settings)
    if folder is not None:
        _check_files(folder, settings)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder or settings.path,
            dtype=settings.torch_dtype,
            use_safetensors=None if settings.allow_pickle else True,
            trust_remote_code=settings.trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise RunError(f"{_named(settings, folder)}: the model cannot be loaded: {first_line(error)}") from error
    except Exception as error:
        if "safetensor" not in type(error).__name__.lower():
            raise
        raise RunError(f"{settings.path}: its weights are damaged: {first_line(error)}") from error
    for problem in ("missing_keys", "mismatched_keys"):
        odd = sorted(str(key) for key in found.get(problem) or ())
        if odd:  # transformers fills such weights at random, and says so in a log
            word = problem.removesuffix("_keys")
            raise RunError(f"{settings.path}: weights {word}: {', '.join(odd[:3])}{' ...' if odd[3:] else ''}")
    return model


def _check_files(folder: Path, settings: ModelSettings) -> None:
    if not (folder / "config.json").is_file():
        raise RunError(f"{settings.path}: no config.json, so no transformers model")
    if any(folder.glob(WEIGHTS)):
        return
    pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if not pickled:
        raise RunError(f"{settings.path}: no weights there ({WEIGHTS})")
    if not settings.allow_pickle:
        raise RunError(
            f"{settings.path}: its weights are pickles ({pickled[0]}), which can run any code when they are loaded; "
            "convert them to safetensors, or set model.allow_pickle=true"
        )
