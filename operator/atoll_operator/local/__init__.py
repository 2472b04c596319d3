"""Runtime for one machine: steps as child processes."""
