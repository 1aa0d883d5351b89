"""The splits of data that a suite reads, with the tasks and corpora that read them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xrealign_bench.data.examples import Split, locate_task
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.data.parallel import locate_pairs, pair_configs
from xrealign_bench.data.sources import dataset_name
from xrealign_bench.specs import Corpus, DataSource, EmbeddedData, HubData, Suite, Task
from xrealign_bench.specs.data import patterns
from xrealign_bench.specs.lock import Key

if TYPE_CHECKING:
    from xrealign_bench.data.loaded_suite import LoadedSuite


@dataclass(frozen=True)
class SplitUse:
    """A split that a task or corpus reads in one language."""

    spec: Task | Corpus
    language: str
    """For a corpus, the target language."""
    split: Split = "train"
    """Which data of a task."""
    source_language: str = ""
    """For a corpus."""

    @property
    def source(self) -> DataSource:
        return self.spec.part(self.language, self.split).source if isinstance(self.spec, Task) else self.spec.source

    @property
    def expected_key(self) -> Key:
        """The key that a lock has for the split if it is where the spec says."""
        if isinstance(self.spec, Task):
            part = self.spec.part(self.language, self.split)
            split = part.test_split if self.split == "test" else self.spec.train_split
            names = part.configs[self.language]
            config = names if isinstance(names, str) else names[0]
        else:
            split, config = self.spec.split, pair_configs(self.spec, self.source_language, self.language)[0]
        if isinstance(self.source, HubData):
            return self.source.dataset, config or "default", split
        assert not isinstance(self.source, EmbeddedData), "a lock has no embedded data"
        located = LocatedSplit("", config, split, None, "", ())
        named = split in patterns(self.source)
        return dataset_name(self.source, located) if named else self.spec.name, config or "default", split

    def locate(self, location: DataLocation) -> LocatedSplit:
        """Locate the split; see `sources.locate`."""
        if isinstance(self.spec, Task):
            return locate_task(self.spec, self.language, self.split, location)
        return locate_pairs(self.spec, self.source_language, self.language, location)


def corpora_of(suite: Suite) -> dict[str, list[str]]:
    """Return the target languages read from each parallel corpus of a suite."""
    parallel = suite.parallel
    elsewhere = {language for languages in parallel.other_corpora.values() for language in languages}
    here = [code for code in suite.target_languages if code not in elsewhere]
    return {**dict.fromkeys([parallel.corpus, *parallel.additional_corpora], here), **parallel.other_corpora}


def list_uses(
    loaded: LoadedSuite, languages: Sequence[str], paired: Callable[[Corpus], Collection[str]]
) -> Iterator[SplitUse]:
    """Yield every use of a split by a suite.

    Args:
        loaded: the suite with the tasks and corpora to list; its corpora are listed for all of its targets.
        languages: target languages of the tasks.
        paired: returns the languages that a corpus pairs with the source language.
    """
    suite = loaded.suite
    for task in loaded.tasks:
        for language in [code for code in (suite.source_language, *languages) if code in task.languages]:
            yield SplitUse(task, language, "test")
            if language == suite.source_language and task.finetunes:
                yield SplitUse(task, language, "train")
    for name, targets in corpora_of(suite).items():
        if name in loaded.corpora:
            corpus = loaded.corpora[name]
            there = paired(corpus)
            for language in [code for code in targets if code in there]:
                yield SplitUse(corpus, language, source_language=suite.source_language)
