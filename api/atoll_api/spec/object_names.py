"""Names as Kubernetes writes them, exactly as strict as its API server."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
LABEL_PATTERN: Final = rf"^{_LABEL}$"
"""Of a volume or a namespace, at most 63 characters."""
SUBDOMAIN_PATTERN: Final = rf"^{_SUBDOMAIN}$"
"""Of most objects, at most 253 characters."""
KEY_PATTERN: Final = rf"^({_SUBDOMAIN}/)?[A-Za-z0-9]([-_.A-Za-z0-9]{{0,61}}[A-Za-z0-9])?$"
LABEL_VALUE_PATTERN: Final = r"^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$"
_LONGEST_DOMAIN: Final = 253


def _short_domain(key: str) -> str:
    if len(key.rpartition("/")[0]) > _LONGEST_DOMAIN:
        raise ValueError(f"what is before the / should have at most {_LONGEST_DOMAIN} characters")
    return key


Key = Annotated[str, Field(pattern=KEY_PATTERN), AfterValidator(_short_domain)]
"""Of a label, an annotation or a resource: `nvidia.com/gpu`."""
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE_PATTERN)]
