"""What the chart renders, shown to a real API server that would have to take it."""

from typing import Any

import pytest
import yaml
from helm import Values, rendered
from kubectl import Kubectl

SETS: dict[str, Values] = {
    "defaults": {},
    "some namespaces": {"watchNamespaces": ["a", "b"]},
    "nothing optional": {
        "crds": {"install": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "replicas": 1,
    },
    "a platform that chooses the user": {
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "worker": {"fsGroup": "none"},
    },
    "everything": {
        "image": {"digest": f"sha256:{'0' * 64}"},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccount": {"annotations": {"example.com/role": "none"}},
        "networkPolicy": {
            "apiServer": {"cidrs": ["10.0.0.1/32", "fd00::1/128"]},
            "extraIngress": [{"from": [{"podSelector": {}}]}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
        },
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "podLabels": {"team": "a"},
        "podAnnotations": {"note": "b"},
        "commonLabels": {"cost": "c"},
        "fullnameOverride": "islands",
    },
}


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_api_server_would_take_it(kubectl: Kubectl, values: Values) -> None:
    """Every field is known, and no pod would violate the restricted standard."""
    here = kubectl.namespace
    kubectl.run("label", "namespace", here, "pod-security.kubernetes.io/warn=restricted")
    said: dict[str, Any] = {**values}
    if "watchNamespaces" in values:
        said["watchNamespaces"] = [here]
    documents = rendered(said, release=here, namespace=here).documents
    (check,) = (it for it in documents if it["kind"] == "Pod")
    check["spec"]["serviceAccountName"] = "default"  # its own is only rendered
    done = kubectl.tried(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server"),
        *("--validate=strict", "-f", "-"),
        stdin=yaml.safe_dump_all(documents),
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_a_pod_that_may_become_root_would_be_noticed(kubectl: Kubectl) -> None:
    kubectl.run(
        "label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/warn=restricted"
    )
    values = {"securityContext": {"allowPrivilegeEscalation": True}}
    deployment = rendered(values, namespace=kubectl.namespace).one("Deployment")
    done = kubectl.tried("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(deployment))
    assert "allowPrivilegeEscalation" in done.stderr
