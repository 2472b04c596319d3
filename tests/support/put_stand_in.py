"""A post-renderer for helm: the operator's container runs `stand_in_operator` in its place."""

import sys
from pathlib import Path

import yaml


def main() -> None:
    documents = [it for it in yaml.safe_load_all(sys.stdin) if it]
    code = (Path(__file__).parent / "stand_in_operator.py").read_text()
    for it in documents:
        if it["kind"] == "Deployment":
            (container,) = it["spec"]["template"]["spec"]["containers"]
            container["command"] = ["python", "-c", code]
    yaml.safe_dump_all(documents, sys.stdout)


if __name__ == "__main__":
    main()
