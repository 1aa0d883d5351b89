"""Classify texts by the label that a decoder finds likeliest in a prompt; nothing is fine-tuned."""
