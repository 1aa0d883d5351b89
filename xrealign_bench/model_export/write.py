"""Export a model: compute what is missing, write the folder whole or not at all, and push it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from xrealign_bench.errors import TrainingError, UserError, convert_os_errors
from xrealign_bench.files import allow_reading
from xrealign_bench.model_export.hub import check_repository, push_folder
from xrealign_bench.model_export.request import SENTENCES, ExportOptions, Target, choose_target
from xrealign_bench.pipeline.executor import OnEvent, run_serially
from xrealign_bench.pipeline.files import write_json
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.stage import RunContext
from xrealign_bench.pipeline.stages import Finetune
from xrealign_bench.pipeline.store import Store

if TYPE_CHECKING:
    from xrealign_bench.model_export.models import Trained


def check_folder(folder: Path) -> None:
    """Refuse an output folder that is not empty.

    Raises:
        UserError: it is not, or it is no folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not an empty folder; name another with --output")


def plan_export(plan: Plan, store: Store, options: ExportOptions) -> tuple[Target, Plan]:
    """Choose what to export, and return it with the part of the plan that it needs.

    Raises:
        UserError: the output folder is not empty, the model can't be exported, or a stage is not stored and may not
            be computed.
    """
    check_folder(options.output)
    target = choose_target(plan, options)
    if options.push_to_hub is not None:
        check_repository(options.push_to_hub, plan.request.location.offline)
    needed = plan.ancestors([target.ref])
    part = Plan(plan.request, {ref: stage for ref, stage in plan.stages.items() if ref in needed})
    missing = [stage for ref, stage in part.stages.items() if not store.has(*ref)]
    if options.no_compute and missing:
        raise UserError(
            f"--no-compute: '{missing[-1].label}' is not in the store {store.root}; evaluate it first, name "
            "the store where it is with --store, or leave --no-compute out"
        )
    return target, part


def export_model(
    plan: Plan, store: Store, context: RunContext, options: ExportOptions, on_event: OnEvent
) -> str | None:
    """Export a model to `options.output`. Nothing is left there if it fails.

    Args:
        plan: of one checkpoint, recipe and seed; its last run is exported.
        store: where stages are stored.
        context: what stages need from this machine.
        options: options of the export.
        on_event: called with each event of a stage.

    Returns:
        The address of the commit on the Hub, if the folder was pushed.

    Raises:
        UserError: as `plan_export`; or the model can't be written or pushed.
        TrainingError: a training failed.
    """
    target, part = plan_export(plan, store, options)
    outcome = run_serially(part, store, context, on_event)
    if outcome.failed:
        reasons = "; ".join(f"{plan.stages[ref].label}: {why}" for ref, why in outcome.failed.items())
        raise TrainingError(f"{reasons}. Finished stages are stored")
    output = options.output.absolute()
    with convert_os_errors(f"the export to {options.output}", "when that is mended, the same command writes it"):
        output.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as temporary:
            staged = Path(temporary, output.name)
            staged.mkdir()
            _write(part, store, context, (target, options), staged)
            staged.replace(output)
    return None if options.push_to_hub is None else push_folder(options.output, options.push_to_hub)


def _write(plan: Plan, store: Store, context: RunContext, what: tuple[Target, ExportOptions], folder: Path) -> None:
    from xrealign_bench.model_export.card import find_evidence, render_card
    from xrealign_bench.model_export.models import save_model
    from xrealign_bench.model_export.provenance import PROVENANCE, describe_export
    from xrealign_bench.model_export.sentence_transformers import write_sentence_transformers
    from xrealign_bench.pipeline.loading import tokenizer_of

    target, options = what
    evidence = find_evidence(plan, target, options.results)
    saved = save_model(target, _find_trained(plan, store, target), context, options, folder)
    if target.form == SENTENCES:
        assert target.task is not None
        length = plan.request.suite.finetuning_for(target.task.name).length("test")
        tokenizer = tokenizer_of(plan.request.checkpoint)
        write_sentence_transformers(folder, tokenizer, width=saved.width, max_length=length)
    about = describe_export(plan, store, target, options, folder, saved)
    write_json(folder / PROVENANCE, about)
    (folder / "README.md").write_text(render_card(plan, target, options, about, evidence), encoding="utf-8")
    for path in folder.rglob("*.safetensors"):
        allow_reading(path)


def _find_trained(plan: Plan, store: Store, target: Target) -> Trained:
    """Return the stored output of the stage that is exported."""
    from xrealign_bench.model_export.models import Trained
    from xrealign_bench.pipeline.loading import StartingWeights

    stage, folder = plan.stages[target.ref], store.read(*target.ref).folder
    if not isinstance(stage, Finetune):
        return Trained(folder)
    encoder = stage.inputs.encoder
    realigned = None if encoder is None else store.read(*encoder).folder
    return Trained(folder, StartingWeights(realigned, stage.settings.initialisation, stage.settings.seed))
