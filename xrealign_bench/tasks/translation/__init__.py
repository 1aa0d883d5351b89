"""Translate into and out of each language with a decoder, by prompt; nothing is fine-tuned."""
