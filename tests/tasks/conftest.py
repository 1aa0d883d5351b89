"""The fixtures of data sets and checkpoints that the tests of tasks share with those of data and models."""

from tests.data.conftest import root
from tests.models.conftest import checkpoint, checkpoints, make_checkpoint, pytest_collection_modifyitems, tokenizers

__all__ = ["checkpoint", "checkpoints", "make_checkpoint", "pytest_collection_modifyitems", "root", "tokenizers"]
