"""Readers of file formats other than Parquet: each yields a file's rows with their lines."""
