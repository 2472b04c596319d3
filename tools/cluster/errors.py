"""What can go wrong, said so that the reader knows what to do."""


class ClusterError(Exception):
    """Ends the command; its text is all that the user sees."""
