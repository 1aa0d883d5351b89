"""Family of recipes: one file for recipes that differ in the published subset of languages they realign."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from xrealign_bench.specs.fields import DataName
from xrealign_bench.specs.recipe import Parallel, PublishedSubset, Recipe


class RecipeFamily(Recipe):
    """Recipes that share all settings and differ in the published subset of languages that they realign.

    Each is named after the family and the last part of its subset's name: `sentence` and `lowresource/random-5` make
    `sentence-random-5`, whose title ends in `random-5`.
    """

    subsets: Annotated[list[DataName], Field(min_length=1, max_length=1000)]
    """Published subsets, by their names in `xrealign-bench languages subsets`; one recipe for each."""

    @property
    def placeholder(self) -> str:
        """The name that lists show for all of its recipes."""
        return f"{self.name}-SUBSET"

    @cached_property
    def recipes(self) -> list[Recipe]:
        """The recipes, in the order of the subsets. Digests are theirs: a family has no results of its own."""
        return [self._recipe(subset) for subset in self.subsets]

    def _recipe(self, subset: str) -> Recipe:
        ending = subset.rpartition("/")[2]
        parallel = self.parallel.model_copy(update={"languages": PublishedSubset(subset=subset)})
        shared = {name: getattr(self, name) for name in Recipe.model_fields}
        named = {"name": f"{self.name}-{ending}", "title": f"{self.title}, {ending}", "parallel": parallel}
        return Recipe.model_validate(shared | named)

    @model_validator(mode="after")
    def _makes_recipes(self) -> RecipeFamily:
        if self.parallel.languages != Parallel.model_fields["languages"].default:
            raise ValueError("subsets are the languages of its recipes; remove parallel.languages")
        names = [self.name]
        for subset in self.subsets:
            try:
                names.append(self._recipe(subset).name)
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"makes no recipe of the subset '{subset}': {reason}") from None
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"makes two recipes named {', '.join(twice)}; name each subset once")
        return self
