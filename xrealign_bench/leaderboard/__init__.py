"""Results turned into tables, Markdown, CSV, JSON, text and pictures; nothing here needs torch."""
