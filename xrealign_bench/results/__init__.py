"""Results of evaluations with their provenance: models, storage, rescoring and history."""
