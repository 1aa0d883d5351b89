"""Aggregate a result's scores and compare them with the baseline's."""
