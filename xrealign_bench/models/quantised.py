"""Weights in 8 or 4 bits, by bitsandbytes: large decoders in little memory. Such weights can't be trained."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from xrealign_bench.models.device import Precision, Quantised


def quantised_loading(quantised: Quantised | None, device: torch.device, precision: Precision) -> dict[str, Any]:
    """What transformers' `from_pretrained` is told, to quantise all linear layers but the output layer on loading.

    In 8 bits as LLM.int8 (Dettmers et al., NeurIPS 2022), in 4 bits as NF4 (Dettmers et al., QLoRA, NeurIPS 2023).
    """
    if quantised is None:
        return {}
    # It says so of every product: 8 bits are multiplied by float16.
    warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=quantised == "8bit",
        load_in_4bit=quantised == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(torch, precision),
    )
    return {"quantization_config": config, "device_map": {"": device}}
