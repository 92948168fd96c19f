"""A run's numbers in TensorBoard and W&B: followers that read `metrics.jsonl`, which stays the truth."""
