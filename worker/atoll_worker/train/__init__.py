"""Training one model: seeds, the loop, the moving average, checkpoints."""
