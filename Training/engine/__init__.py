"""The training loop: steps, averaged weights, checkpoints, several processes, monitoring, validation."""
