"""Write the CustomResourceDefinition into the chart; with `--check`, fail if it is stale."""

import sys
from pathlib import Path

from atoll_api.crd import custom_resource_definition
from atoll_cli.documents import to_yaml

CRD = Path(__file__).resolve().parent.parent / "charts/atoll/files/trainingjobs.atoll.dev.yaml"


def main() -> int:
    """Generate, or check."""
    text = to_yaml(custom_resource_definition())
    if "--check" not in sys.argv:
        CRD.parent.mkdir(parents=True, exist_ok=True)
        CRD.write_text(text)
        return 0
    if not CRD.exists() or CRD.read_text() != text:
        print(f"{CRD.name} is not what the types say: run `make generate`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
