"""What to export: options, checked against a plan before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xrealign_bench.errors import UserError
from xrealign_bench.pipeline.plan import Plan, Run
from xrealign_bench.pipeline.stage import StageRef
from xrealign_bench.specs import Task
from xrealign_bench.specs.suite import Head

Dtype = Literal["float32", "float16", "bfloat16"]
Form = Literal["encoder", "adapter", "task", "sentence-transformers"]
ENCODER: Form = "encoder"
ADAPTER: Form = "adapter"
TASK: Form = "task"
SENTENCES: Form = "sentence-transformers"


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export, by name as on the command line."""

    output: Path
    task: str | None = None
    merge: bool = False
    """Merge an adapter into the weights."""
    sentence_transformers: bool = False
    dtype: Dtype | None = None
    """None: as trained, in float32."""
    results: Path | None = None
    """Folder with results, whose scores the model card quotes if one of them is the recipe's."""
    push_to_hub: str | None = None
    no_compute: bool = False
    """Refuse to compute stages that are not stored."""


@dataclass(frozen=True)
class Target:
    """The trained stage to export, and the form in which it is exported."""

    form: Form
    run: Run
    ref: StageRef
    """A `finetune` for the form `task`, else a `realign`."""
    seed: int
    task: Task | None = None
    """Of the forms `task` and `sentence-transformers`."""
    head: Head = "linear"
    """Of the form `task`."""


def choose_target(plan: Plan, options: ExportOptions) -> Target:
    """Choose the stage and the form, and refuse what transformers can't express.

    Args:
        plan: of one checkpoint, recipe and seed, and of the task if options name one.
        options: options of the export.

    Raises:
        UserError: there is nothing to export, options contradict each other, or transformers can't express the model.
    """
    if options.task is not None and not options.sentence_transformers:
        return _choose_finetuned(plan, options)
    run, seed = plan.runs[-1], plan.request.seeds[0]
    recipe = run.recipe
    task = _retrieval_task(plan) if options.sentence_transformers else plan.request.tasks[0]
    ref = run.realign.get((task.name, seed))
    if ref is None or recipe.schedule.when != "before":
        raise UserError(
            f"recipe '{recipe.name}': realigns nothing before fine-tuning; choose one with a method and "
            "schedule.when 'before', or export a fine-tuned model with --task"
        )
    if options.merge and recipe.adapter is None:
        raise UserError(f"--merge: recipe '{recipe.name}' trains no adapter; leave --merge out")
    if recipe.adapter is not None and not options.merge:
        _check_adapter_alone(plan, options)
        return Target(ADAPTER, run, ref, seed)
    _check_encoder(plan)
    if options.sentence_transformers:
        _check_layer(plan, task)
        return Target(SENTENCES, run, ref, seed, task)
    return Target(ENCODER, run, ref, seed)


def _choose_finetuned(plan: Plan, options: ExportOptions) -> Target:
    run, seed, task = plan.runs[-1], plan.request.seeds[0], plan.request.tasks[0]
    if not task.finetunes:
        other = ", or add --sentence-transformers" if task.base_type == "retrieval" else ""
        raise UserError(f"--task {task.name}: is not fine-tuned; leave --task out for the realigned model{other}")
    if options.merge:
        raise UserError("--merge: a fine-tuned model has no adapter; leave --merge out")
    _check_head(plan, task)
    return Target(TASK, run, run.finetune[task.name, seed], seed, task, plan.request.suite.head)


def _retrieval_task(plan: Plan) -> Task:
    """Return the task whose sentence vectors are exported."""
    fitting = [task for task in plan.request.tasks if task.base_type == "retrieval"]
    if len(fitting) != 1:
        names = ", ".join(task.name for task in plan.request.tasks)
        raise UserError(
            f"--sentence-transformers: needs one retrieval task, and there are {len(fitting)} among {names}; name one "
            "with --task, or use a suite that has one"
        )
    return fitting[0]


def _check_head(plan: Plan, task: Task) -> None:
    """Refuse a task whose head transformers' class can't express: another linear one, or a plugin's own.

    Raises:
        UserError: it can't.
    """
    from xrealign_bench.models.task_class import check_linear_head, has_task_class

    head = plan.request.suite.head
    if hasattr(task.traits.code, "new_model" if head == "linear" else "new_transformers_model"):
        raise UserError(
            f"--task {task.name}: its head is made by the plugin '{task.task_type}', so transformers can't load it; "
            "leave --task out for the realigned model"
        )
    if head == "transformers":
        return
    checkpoint = plan.request.checkpoint
    try:
        check_linear_head(checkpoint, task.base_type, len(task.labels) or 2)
    except UserError as error:
        other = "use a suite with 'head: transformers', or " if has_task_class(checkpoint, task.base_type) else ""
        raise UserError(
            f"--task {task.name}: its head, dropout and one linear layer, can't be expressed in transformers, because "
            f"{error}; {other}leave --task out for the realigned model"
        ) from None


def _check_encoder(plan: Plan) -> None:
    """Refuse an encoder-decoder whose encoder transformers can't load alone.

    Raises:
        UserError: it can't.
    """
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING

    from xrealign_bench.models.config import load_config

    checkpoint = plan.request.checkpoint
    if checkpoint.family == "encoder_decoder" and type(load_config(checkpoint)) not in MODEL_FOR_TEXT_ENCODING_MAPPING:
        raise UserError(
            f"checkpoint {checkpoint.id}: transformers has no class for a {checkpoint.model_type} without its decoder; "
            "use xb.realign to have it in memory"
        )


def _check_layer(plan: Plan, task: Task) -> None:
    """Refuse sentence vectors from a block after which the exported model would compute something more.

    Raises:
        UserError: the task reads such a block.
    """
    checkpoint = plan.request.checkpoint
    if task.layer != "last" and checkpoint.family != "encoder":
        raise UserError(
            f"--sentence-transformers: task '{task.name}' reads the output of block '{task.layer}', and a "
            f"{checkpoint.model_type} normalises the output of its last one; use a task with 'layer: last'"
        )


def _check_adapter_alone(plan: Plan, options: ExportOptions) -> None:
    """Refuse to export an adapter that a reader could not put on its base model.

    Raises:
        UserError: they could not.
    """
    checkpoint, recipe = plan.request.checkpoint, plan.runs[-1].recipe
    reasons = {
        "the checkpoint is an adapter itself": checkpoint.adapter is not None,
        "AutoModel puts no adapter on the encoder of an encoder-decoder": checkpoint.family == "encoder_decoder",
        "an adapter can't make attention bidirectional": recipe.attention == "bidirectional",
        "nobody else has its base model, a local folder": bool(options.push_to_hub) and checkpoint.revision is None,
        "sentence-transformers needs the whole model": options.sentence_transformers,
    }
    if reason := next((reason for reason, applies in reasons.items() if applies), None):
        raise UserError(f"recipe '{recipe.name}': its adapter can't be exported alone, because {reason}; add --merge")
