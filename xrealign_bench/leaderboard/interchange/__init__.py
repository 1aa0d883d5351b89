"""Exchange of scores with other programs: MTEB, lm-evaluation-harness, the Hub's model cards, and tables."""
