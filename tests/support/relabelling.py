"""What Prometheus makes of a pod: its targets and their labels, by `relabel_configs`.

The part of Prometheus' rules that the project uses: replace, keep and drop, with regular expressions
that match the whole value.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Rule = Mapping[str, Any]
Labels = Mapping[str, str]
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def meta_labels(pod: Mapping[str, Any], port: str) -> dict[str, str]:
    """What service discovery by `role: pod` says of a port of a pod."""
    metadata = pod["metadata"]
    found = {
        "__address__": "10.0.0.1:9464",
        "__meta_kubernetes_namespace": metadata["namespace"],
        "__meta_kubernetes_pod_name": metadata["name"],
        "__meta_kubernetes_pod_phase": pod["status"]["phase"],
        "__meta_kubernetes_pod_container_port_name": port,
    }
    for key, value in metadata["labels"].items():
        name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
        found[f"__meta_kubernetes_pod_label_{name}"] = value
        found[f"__meta_kubernetes_pod_labelpresent_{name}"] = "true"
    return found


def target(rules: Sequence[Rule], meta: Labels) -> dict[str, str] | None:
    """The labels of the target; None if it is dropped."""
    labels = dict(meta)
    for rule in rules:
        assert rule.keys() <= {"source_labels", "regex", "target_label", "action"}
        value = ";".join(labels.get(it, "") for it in rule["source_labels"])
        match = re.fullmatch(rule.get("regex", "(.*)"), value)
        action = rule.get("action", "replace")
        if action in ("keep", "drop"):
            if (match is None) is (action == "keep"):
                return None
        elif match is not None:
            assert action == "replace"
            labels[rule["target_label"]] = match[1]
    return {name: it for name, it in labels.items() if it and not name.startswith("__")}


def as_prometheus_spells_it(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The rules of a PodMonitor, whose keys are in camel case."""
    return [{_CAMEL.sub("_", key).lower(): it for key, it in rule.items()} for rule in rules]
