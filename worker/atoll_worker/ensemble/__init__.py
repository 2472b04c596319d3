"""Many experts, one answer: routing weights, mixtures and samplers. Pure tensor functions."""
