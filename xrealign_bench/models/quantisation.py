"""Quantised weights (bitsandbytes): large decoders in little memory. Quantised weights can't be trained."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from xrealign_bench.models.dtypes import Precision, Quantised


def quantisation_options(quantised: Quantised | None, device: torch.device, precision: Precision) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` that quantise all linear layers except the output layer.

    8 bits: LLM.int8 (Dettmers et al., NeurIPS 2022). 4 bits: NF4 (Dettmers et al., QLoRA, NeurIPS 2023).
    """
    if quantised is None:
        return {}
    # bitsandbytes warns at every product that it casts inputs to float16.
    warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=quantised == "8bit",
        load_in_4bit=quantised == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(torch, precision),
    )
    return {"quantization_config": config, "device_map": {"": device}}
