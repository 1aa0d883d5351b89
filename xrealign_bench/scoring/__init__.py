"""Scores of a result put together, and compared with its baseline's."""
