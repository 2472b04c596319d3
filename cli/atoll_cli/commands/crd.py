"""`atoll crd`: the CustomResourceDefinition."""

import click

from atoll_api.crd import custom_resource_definition
from atoll_cli.documents import to_yaml


@click.command("crd", short_help="Print the CustomResourceDefinition.")
def command() -> None:
    """Print the CustomResourceDefinition, for `kubectl apply -f -`."""
    print(to_yaml(custom_resource_definition()), end="")
