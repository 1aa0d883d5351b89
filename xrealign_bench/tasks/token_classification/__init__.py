"""Tag words: fine-tune a classifier in the source language, predict in any."""
