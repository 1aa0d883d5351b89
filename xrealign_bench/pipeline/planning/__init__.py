"""From specs to the stages of an evaluation. Nothing is computed and no example is read."""

from __future__ import annotations

from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.pipeline.planning.parallel_data import plan_parallel_data
from xrealign_bench.pipeline.planning.task_data import plan_task_data
from xrealign_bench.pipeline.planning.training import plan_training
from xrealign_bench.pipeline.preflight import check_not_realigned_on_test, check_request
from xrealign_bench.specs import Recipe


def make_plan(request: Request) -> Plan:
    """Lay out every stage of an evaluation.

    Raises:
        UserError: recipes, suite and checkpoint don't fit together (a line for each problem), or data are missing.
    """
    plan = Plan(request)
    check_request(request)
    for task in request.tasks:
        plan_task_data(plan, task)
    for recipe in request.recipes:
        plan.runs.append(_plan_run(plan, recipe))
    return plan


def _plan_run(plan: Plan, recipe: Recipe) -> Run:
    run = Run(recipe)
    if recipe.realigns:
        plan_parallel_data(plan, run)
        check_not_realigned_on_test(plan, run)
    for task in plan.request.tasks:
        for seed in plan.request.seeds:
            plan_training(plan, run, task, seed)
    return run
