"""What operator, workers and command line share to be seen: metrics, logs and traces."""
