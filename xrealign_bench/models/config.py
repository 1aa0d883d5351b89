"""Load a checkpoint's configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from transformers import AutoConfig, PreTrainedConfig
from transformers.utils import logging as library_logging

from xrealign_bench.errors import UserError, first_line
from xrealign_bench.models.adapters import AdapterBase, find_adapter_base
from xrealign_bench.models.checkpoint import Checkpoint

_LAYERDROP = ("layerdrop", "encoder_layerdrop", "decoder_layerdrop")
"""LayerDrop options of BART-like models. They are set to zero: a block whose output a recipe reads must be there."""


def load_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """Return the checkpoint's configuration, without LayerDrop, with named outputs and an adapter's vocabulary size.

    Raises:
        UserError: it is refused, or an adapter's is.
    """
    config = load_base_config(checkpoint)
    base = load_adapter_base(checkpoint)
    if base is not None and base.vocabulary is not None:
        config.vocab_size = base.vocabulary
    return config


@lru_cache(maxsize=1)
def load_adapter_base(checkpoint: Checkpoint) -> AdapterBase | None:
    """Return the model that the checkpoint's adapter was trained on, or None if the checkpoint has no adapter.

    Raises:
        UserError: its adapter can't be used.
    """
    if checkpoint.adapter is None:
        return None
    what = f"checkpoint {checkpoint.id}"
    with quiet_transformers():
        return find_adapter_base(
            checkpoint.adapter, load_base_config(checkpoint), what, trust_remote_code=checkpoint.trust_remote_code
        )


def load_base_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """Like `load_config`, but for a checkpoint with an adapter return the base model's configuration unchanged.

    Raises:
        UserError: it is refused.
    """
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=checkpoint.trust_remote_code
        )
    except Exception as error:  # whatever the configuration's class finds wrong with its values
        raise UserError(f"checkpoint {checkpoint.id}: its config.json is refused: {first_line(error)}") from error
    for name in _LAYERDROP:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    config.return_dict = True  # outputs are read by name, whatever the checkpoint was saved with
    return config


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and its report of unused weights, which are checked here instead."""
    verbosity, bars = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity(logging.ERROR)
    library_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        library_logging.set_verbosity(verbosity)
        if bars:
            library_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
