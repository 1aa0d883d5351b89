"""What realignment changes inside a model: pure functions on vectors, gradients and predictions, a measure a file."""
