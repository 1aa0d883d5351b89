"""Write the lock of a suite whose data are not at hand: a line per split, with the commits that are known.

    python scripts/draft_lock.py alignfreeze rajpurkar/squad=7b6d24c440a36b6815f21b70d25016731768db1f

Commits that the suite's lock or addresses have are kept, and so are the pairs of languages that the lock has of a
corpus on the Hub. `xrealign-bench fetch --write-lock` replaces the draft once the data are there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Mapping

from xrealign_bench.data.loaded_suite import LoadedSuite, load_suite
from xrealign_bench.data.located import LocatedSplit
from xrealign_bench.data.lock import lock_file, write_lock
from xrealign_bench.data.parallel import pair_configs
from xrealign_bench.data.sources import dataset_name
from xrealign_bench.data.split_uses import SplitUse, list_uses
from xrealign_bench.specs import Corpus, EmbeddedData, HubData, LockedSplit
from xrealign_bench.specs.lock import Key

COMMIT = re.compile(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", help="name or YAML file")
    parser.add_argument("commits", nargs="*", metavar="DATASET=COMMIT", help="data set on the Hub, and its commit")
    arguments = parser.parse_args()
    splits = draft(load_suite(arguments.suite), dict(pin.split("=", maxsplit=1) for pin in arguments.commits))
    path = lock_file(arguments.suite)
    write_lock(path, splits, [])
    pinned = sum(split.revision is not None for split in splits)
    print(f"{path}: {len(splits)} splits, {pinned} of them at a commit")


def draft(loaded: LoadedSuite, commits: Mapping[str, str]) -> list[LockedSplit]:
    """Return a line per split that a suite reads; of several alternatives, the first.

    Args:
        loaded: the suite, with its lock if it has one.
        commits: data set on the Hub -> its commit.
    """
    lock = loaded.lock.lock if loaded.lock else None
    locked = {split.key for split in lock.splits} if lock else set()
    known = {**(lock.revisions if lock else {}), **commits}

    def paired(corpus: Corpus) -> Collection[str]:
        codes = loaded.suite.target_languages
        configs = {config for dataset, config, _ in locked if dataset == _dataset(corpus)}
        if not configs:
            return [code for code in codes if code in corpus.codes] if corpus.source.kind == "url" else codes
        return [code for code in codes if configs & {*pair_configs(corpus, loaded.suite.source_language, code)}]

    found: dict[Key, str | None] = {}
    for use in list_uses(loaded, loaded.suite.target_languages, paired):
        if not isinstance(use.source, EmbeddedData):
            key = _key(use, locked)
            written = use.source.revision or "" if isinstance(use.source, HubData) else key[0]
            own = COMMIT.search(written)
            found[key] = own[0] if own else known.get(key[0])
    return [
        LockedSplit(dataset=dataset, config=config, split=split, revision=revision, sha256=None)
        for (dataset, config, split), revision in sorted(found.items())
    ]


def _dataset(corpus: Corpus) -> str | None:
    return corpus.source.dataset if isinstance(corpus.source, HubData) else None


def _key(use: SplitUse, locked: Collection[Key]) -> Key:
    """Return the key of a split. Corpora name pairs of languages alphabetically unless the lock has the other order."""
    if isinstance(use.spec, Corpus) and not use.spec.columns:
        keys = [
            (dataset_name(use.source, LocatedSplit("", config, use.spec.split, None, "", ())), config, use.spec.split)
            for config in sorted(pair_configs(use.spec, use.source_language, use.language))
        ]
        return next((key for key in keys if key in locked), keys[0])
    return use.expected_key


if __name__ == "__main__":
    main()
