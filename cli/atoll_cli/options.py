"""Options that several commands have, each spelled once."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from atoll_cli.cluster.place import Wanted

Command = Callable[..., Any]


def cluster_options(*, short: bool = True) -> Callable[[Command], Command]:
    """Which cluster; the command gets it as `wanted`.

    Args:
        short: Whether -n is free for the namespace.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def called(*arguments: Any, **given: Any) -> Any:
            said = (given.pop(name) for name in ("namespace", "context_name", "kubeconfig"))
            return command(*arguments, wanted=Wanted(*said), **given)

        decorated: Command = called
        for option in reversed(_options(short=short)):
            decorated = option(decorated)
        return decorated

    return decorate


def _options(*, short: bool) -> tuple[Callable[[Command], Command], ...]:
    return (
        click.option(
            *(("-n",) if short else ()),
            "--namespace",
            help="Of the TrainingJob on the cluster.  [the context's]",
        ),
        click.option(
            "--context", "context_name", help="Which cluster of the kubeconfig.  [its current one]"
        ),
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="How to reach clusters.  [$KUBECONFIG, or ~/.kube/config]",
        ),
    )
