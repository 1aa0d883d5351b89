"""Check a recipe and its results as a review would, and package them for a pull request."""
