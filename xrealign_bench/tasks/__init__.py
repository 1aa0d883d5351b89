"""Task types: how their data are read and encoded, and how models are fine-tuned, evaluated and scored on them."""
