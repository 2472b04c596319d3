"""Whom the processes of a job may talk to on a cluster: `spec.network`."""

import ipaddress
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from atoll_api.base import FrozenModel, Items


def _checked_cidr(value: object) -> object:
    if isinstance(value, str) and (problem := _cidr_problem(value)):
        raise PydanticCustomError("cidr", "{problem}", {"problem": problem})
    return value


def _cidr_problem(text: str) -> str:
    """What is wrong with a range of addresses; empty for nothing."""
    address, _, length = text.partition("/")
    if not length.isdecimal() or "%" in address:  # netmasks and zones are for Python alone
        return "should be an address and the length of its prefix, such as 10.0.0.0/8"
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"should be a range of addresses, such as 10.0.0.0/8: {error}"
    return ""


class Egress(FrozenModel):
    """Addresses outside of the job that its processes may dial."""

    cidr: Annotated[
        str,
        Field(max_length=43, json_schema_extra={"format": "cidr"}),
        BeforeValidator(_checked_cidr),
    ]
    """As `10.0.0.0/8`; `0.0.0.0/0` is every IPv4 address."""
    ports: Items[Annotated[int, Field(ge=1, le=65_535)]] = Field(default=(), max_length=32)
    """Of TCP; all when left out."""


class Network(FrozenModel):
    """Whom the processes of a job may talk to; without effect on `atoll run`."""

    isolation: Literal["Enforced", "Open"] = "Enforced"
    """Enforced: policies allow what the strategy needs and nothing else: all processes to the hub,
    and islands to those they exchange weights with. The cluster's network has to know policies.
    Open: no policies."""
    egress: Items[Egress] = Field(default=(), max_length=64)
    """What is allowed beside that, such as a bucket: policies know addresses, not names."""
