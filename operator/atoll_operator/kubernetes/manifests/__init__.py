"""What a job's objects look like: pure functions from its spec to JSON. Talks to nobody."""
