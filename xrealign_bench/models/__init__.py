"""Checkpoints: find and check them, load them, find their blocks, freeze them, put text in and labels on."""
