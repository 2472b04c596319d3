"""Several models, one model: one method a file, each with its paper. Pure tensor functions."""
