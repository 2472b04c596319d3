"""One policy a file; each returns a choice and a sentence why."""
