"""Find answers in contexts: fine-tune a classifier of starts and ends in the source language, predict in any."""
