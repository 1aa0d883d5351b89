"""Classify texts and pairs of texts: fine-tune a classifier in the source language, predict in any."""
