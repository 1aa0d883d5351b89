"""Realignment: pull translated words together before fine-tuning."""
