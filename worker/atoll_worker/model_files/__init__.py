"""Models in safetensors files, read and written in pieces: never a whole model in memory."""
