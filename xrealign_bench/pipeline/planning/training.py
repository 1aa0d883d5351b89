"""Stages that train and predict."""

from __future__ import annotations

from dataclasses import replace

from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.pipeline.planning.keys import only_cell, package_version, weights_key
from xrealign_bench.pipeline.planning.task_data import test_languages
from xrealign_bench.pipeline.stage import StageRef
from xrealign_bench.pipeline.stages import (
    Finetune,
    FinetuneInputs,
    FinetuneSettings,
    JointSettings,
    Predict,
    PredictInputs,
    PredictSettings,
    Realign,
    RealignInputs,
    RealignSettings,
)
from xrealign_bench.specs import Finetuning, Recipe, Task
from xrealign_bench.specs.plugin import plugin_keys


def plan_training(plan: Plan, run: Run, task: Task, seed: int) -> None:
    """Add the stages that realign, fine-tune and predict with one seed."""
    recipe = run.recipe
    if recipe.realigns and recipe.schedule.when == "before":
        run.realign[task.name, seed] = plan.add(_realign(plan.request, run, task, seed))
    if not task.finetunes:
        _plan_predictions(plan, run, task, seed, None)
        return
    run.finetune[task.name, seed] = plan.add(_finetune(plan, run, task, seed))
    if recipe.realigns and recipe.schedule.when != "before":
        run.realign[task.name, seed] = run.finetune[task.name, seed]
    _plan_predictions(plan, run, task, seed, run.finetune[task.name, seed])


def _for_checkpoint(finetuning: Finetuning, request: Request) -> Finetuning:
    """Keep the settings of training, with the steps and the learning rate of the checkpoint's model type."""
    own = finetuning.for_model_type(request.checkpoint.model_type)
    return own.model_copy(update={"test_max_length": None})


def _matched(request: Request, task: Task) -> Finetuning:
    """Return the fine-tuning settings that `match_finetuning` in a recipe stands for."""
    matches_task = request.suite.realignment_matches == "task"
    given = request.suite.finetuning_for(task.name) if matches_task else request.suite.finetuning
    return _for_checkpoint(given, request)


def realignment_steps(request: Request, recipe: Recipe, task: Task) -> int:
    """Return the steps of a recipe's realignment for a task."""
    schedule = recipe.schedule
    if schedule.when != "before":
        return _for_checkpoint(request.suite.finetuning_for(task.name), request).known_steps
    if schedule.steps != "match_finetuning":
        return schedule.steps
    return request.suite.realignment_steps or _matched(request, task).known_steps


def pairs_to_draw_from(request: Request, recipe: Recipe) -> int | None:
    """Return the maximum number of pairs of each language that realignment draws from; None: all."""
    pairs = recipe.parallel.pairs_for(request.checkpoint.model_type)
    return min((n for n in (pairs, request.limit) if n is not None), default=None) if pairs else None


def _realign(request: Request, run: Run, task: Task, seed: int) -> Realign:
    """Return the realignment, the same for all tasks whose fine-tuning gives what the recipe takes from it."""
    recipe, schedule = run.recipe, run.recipe.schedule
    rate = _matched(request, task).learning_rate["default"]
    settings = RealignSettings(
        checkpoint=weights_key(request.checkpoint),
        initialisation=recipe.initialisation,
        method=recipe.method,
        freeze=recipe.freeze,
        objective=recipe.objective,
        mixing=recipe.parallel.mixing,
        batch_size=schedule.batch_size,
        lr_schedule=schedule.lr_schedule,
        steps=realignment_steps(request, recipe, task),
        learning_rate=rate if schedule.learning_rate == "match_finetuning" else schedule.learning_rate,
        seed=seed,
        compute_settings=request.compute_settings,
        attention=recipe.attention,
        adapter=recipe.adapter,
        peft=None if recipe.adapter is None else package_version("peft"),
        pairs=pairs_to_draw_from(request, recipe),
        control=recipe.parallel.control,
        plugins=plugin_keys([("method", recipe.method)]),
    )
    return Realign(f"realign with {recipe.name}, seed {seed}", settings, RealignInputs(run.pairs(seed)))


def _finetune(plan: Plan, run: Run, task: Task, seed: int) -> Finetune:
    request, recipe = plan.request, run.recipe
    inputs = FinetuneInputs(plan.train[task.name])
    joint, initialisation = None, recipe.initialisation
    if recipe.realigns and recipe.schedule.when != "before":
        joint, inputs = _joint(request, recipe), replace(inputs, pairs=run.pairs(seed))
    elif recipe.realigns:
        inputs = replace(inputs, encoder=run.realign[task.name, seed])
    finetuning = _for_checkpoint(request.suite.finetuning_for(task.name), request)
    as_before = finetuning.warmup_steps == round(finetuning.warmup * finetuning.known_steps)
    settings = FinetuneSettings(
        checkpoint=weights_key(request.checkpoint),
        initialisation="realigned" if inputs.encoder is not None else initialisation,
        finetuning=finetuning,
        task=only_cell(task, request.suite.source_language, "train"),
        seed=seed,
        compute_settings=request.compute_settings,
        joint=joint,
        attention=recipe.attention,
        head=request.suite.head,
        peft=None if finetuning.adapter is None else package_version("peft"),
        random_head=request.suite.head == "transformers" and initialisation == "random",
        warmup_steps=None if as_before else finetuning.warmup_steps,
        plugins=plugin_keys([("task_type", task.task_type), ("method", recipe.method if joint else "none")]),
    )
    label = f"fine-tune {task.name} {'after' if joint is None else 'with'} {recipe.name}, seed {seed}"
    return Finetune(label, settings, inputs)


def _joint(request: Request, recipe: Recipe) -> JointSettings:
    assert recipe.schedule.when != "before"
    return JointSettings(
        method=recipe.method,
        freeze=recipe.freeze,
        objective=recipe.objective,
        mixing=recipe.parallel.mixing,
        batch_size=recipe.schedule.batch_size,
        weight=recipe.schedule.weight,
        when=recipe.schedule.when,
        pairs=pairs_to_draw_from(request, recipe),
        control=recipe.parallel.control,
    )


def _plan_predictions(plan: Plan, run: Run, task: Task, seed: int, model: StageRef | None) -> None:
    """Add the predictions of a fine-tuned model, or, without one, those of the encoder as it is.

    If an adapter was fine-tuned, they read the encoder's weights below it as well.

    The checkpoint's own predictions are the same for all seeds, and so one stage.
    """
    request, recipe = plan.request, run.recipe
    reads_start = model is None or request.suite.finetuning_for(task.name).adapter is not None
    realigned_before = recipe.schedule.when == "before"
    encoder = run.realign.get((task.name, seed)) if reads_start and realigned_before else None
    initialisation = None if not reads_start else "realigned" if encoder is not None else recipe.initialisation
    for language in test_languages(request, task):
        settings = PredictSettings(
            checkpoint=weights_key(request.checkpoint),
            task=only_cell(task, language, "test"),
            compute_settings=request.compute_settings,
            attention=recipe.attention,
            initialisation=initialisation,
            head="linear" if model is None else request.suite.head,
            seed=seed if initialisation == "random" else None,
            identifier=package_version("py3langid") if task.traits.generates else None,
            plugins=plugin_keys([("task_type", task.task_type), ("metric", task.metric)]),
        )
        inputs = PredictInputs(plan.test[task.name, language], model, encoder)
        label = f"predict {task.name} {language} after {recipe.name}, seed {seed}"
        run.predict[task.name, language, seed] = plan.add(Predict(label, settings, inputs))
