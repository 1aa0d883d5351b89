"""The stages, a file each: settings, inputs, code version, and what is computed. Importing them loads no torch.

| stage | reads | leaves |
|---|---|---|
| tokenise | task data | the task type's tables (for words: windows.parquet, sentences.parquet), data.json |
| align | parallel corpus | pairs.parquet (links are null if none are needed), data.json |
| encode | pairs of an `align` | source.parquet, target.parquet, links.parquet |
| realign | `encode` of every language | encoder.safetensors or the folder of an adapter, log.json |
| finetune | `tokenise`, `realign` or the checkpoint; `encode` in joint training | model.safetensors, log.json |
| predict | `finetune` (`realign` or the checkpoint for a task without), `tokenise` | predictions.parquet, \
score.json (without `finetune` also log.json) |
| analyse | `encode` of set-aside sentences, `realign`, `finetune`, `tokenise`, `predict` | analysis.parquet, \
texts.json |
"""

from xrealign_bench.pipeline.stages.align import Align, AlignSettings, CorpusText
from xrealign_bench.pipeline.stages.analyse import Analyse, AnalyseInputs, AnalyseSettings, RealignmentLoss
from xrealign_bench.pipeline.stages.encode import Encode, EncodeInputs, EncodeSettings
from xrealign_bench.pipeline.stages.finetune import Finetune, FinetuneInputs, FinetuneSettings, JointSettings
from xrealign_bench.pipeline.stages.predict import Predict, PredictInputs, PredictSettings
from xrealign_bench.pipeline.stages.realign import Realign, RealignInputs, RealignSettings
from xrealign_bench.pipeline.stages.tokenise import Tokenise, TokeniseSettings

STAGES = (Tokenise, Align, Encode, Realign, Finetune, Predict, Analyse)

__all__ = [
    "STAGES",
    "Align",
    "AlignSettings",
    "Analyse",
    "AnalyseInputs",
    "AnalyseSettings",
    "CorpusText",
    "Encode",
    "EncodeInputs",
    "EncodeSettings",
    "Finetune",
    "FinetuneInputs",
    "FinetuneSettings",
    "JointSettings",
    "Predict",
    "PredictInputs",
    "PredictSettings",
    "Realign",
    "RealignInputs",
    "RealignSettings",
    "RealignmentLoss",
    "Tokenise",
    "TokeniseSettings",
]
