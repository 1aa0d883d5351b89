"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xrealign_bench.cli.options import CollectingCommand, evaluation_option, import_plugins, option_problems
from xrealign_bench.cli.printing import say
from xrealign_bench.cli.process import quiet_libraries
from xrealign_bench.memo import kept_in


@click.command(cls=CollectingCommand)
@evaluation_option("suite")
@evaluation_option("checkpoint")
@evaluation_option("revision")
@click.option("--recipe", default="alignfreeze-front", show_default=True, help="Name or YAML file.")
@click.option("--seed", type=click.IntRange(min=0), help="Training seed.  [default: the suite's first]")
@click.option("--task", help="Export the model fine-tuned on this task.  [default: the model as realigned]")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Empty or new folder to write to."
)
@click.option("--merge", is_flag=True, help="Merge a realigned adapter into the weights.")
@click.option(
    "--sentence-transformers",
    is_flag=True,
    help="Export for sentence-transformers, with the pooling of the suite's retrieval task.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    help="Of the exported weights.  [default: as trained, float32]",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("xrealign-output/results"),
    show_default=True,
    help="Folder with results; the model card quotes the scores of the recipe's.",
)
@click.option("--push-to-hub", metavar="NAME", help="Upload the folder to this model repository, ORG/NAME.")
@click.option("--no-compute", is_flag=True, help="Refuse to compute what is not stored.")
@evaluation_option("limit")
@evaluation_option("data_root")
@evaluation_option("store")
@evaluation_option("device")
@evaluation_option("precision")
@evaluation_option("quantised")
@evaluation_option("gradient_checkpointing")
@evaluation_option("plugins")
@evaluation_option("offline")
@evaluation_option("trust_remote_code")
@evaluation_option("allow_pickle")
def export(recipe: str, seed: int | None, store: Path, **options: Any) -> None:
    """Export a realigned or fine-tuned model for transformers.

    Writes a folder that AutoModel loads, or with --task AutoModelForTokenClassification and the like, with tokenizer,
    model card and provenance. What is not in the store is computed first. The model is loaded again and compared with
    the trained one before the folder appears.

    \b
    Examples:
      xrealign-bench export --output front                        the realigned demo checkpoint
      xrealign-bench export --task cldr-phrases --output tagger   fine-tuned, with its labels
      xrealign-bench export --suite pos-lite --checkpoint FacebookAI/xlm-roberta-base --seed 31 \\
          --task udpos-lite --output ./xlmr-udpos --push-to-hub me/xlmr-udpos
    """
    quiet_libraries(options["offline"])
    from xrealign_bench import evaluation
    from xrealign_bench.model_export import write as job
    from xrealign_bench.model_export.request import ExportOptions
    from xrealign_bench.pipeline.store import Store
    from xrealign_bench.progress import ProgressBars

    problems = option_problems()
    import_plugins(options.pop("plugins"), problems)
    problems.raise_if_any()
    own = {name: options.pop(name) for name in ExportOptions.__dataclass_fields__ if name in options}
    asked = ExportOptions(**own)
    job.check_folder(asked.output)
    stages = Store(store)
    with kept_in(store.absolute() / ".memo.json"):
        seeds = () if seed is None else (seed,)
        tasks = () if asked.task is None else (asked.task,)
        planned = evaluation.Options(recipes=[recipe], tasks=tasks, seeds=seeds, **options)
        plan = evaluation.prepare(planned, problems)
    _, part = job.plan_export(plan, stages, asked)
    with ProgressBars(len(part.stages)) as progress:
        context = evaluation.run_context(plan.request, options["device"])
        address = job.export_model(plan, stages, context, asked, progress)
    say(f"exported to {asked.output}; see its README.md")
    if address is not None:
        click.echo(address)
