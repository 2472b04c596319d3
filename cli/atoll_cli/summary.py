"""What a finished run says of itself on the screen."""

from pathlib import Path

from rich.console import Console


def show(console: Console, folder: Path) -> None:
    """Print the headline numbers and where the pictures are."""
