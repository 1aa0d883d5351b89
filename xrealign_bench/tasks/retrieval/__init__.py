"""Find a sentence's translation by the encoder's vectors; nothing is fine-tuned."""
