"""What an encoder is fine-tuned for and scored on."""
