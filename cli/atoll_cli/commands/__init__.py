"""One file a command, named like it; `command` is what the group adds."""
