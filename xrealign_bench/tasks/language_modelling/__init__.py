"""Measure how well a decoder predicts plain text; nothing is fine-tuned."""
