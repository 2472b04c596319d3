"""All objects of whole jobs, beside files that a reviewer reads: `WRITE_GOLDEN=1` writes them."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_jobs import MERGING, all_objects, blueprint, named
from kube_models import as_kubernetes_reads_it

from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json

GOLDEN = Path(__file__).parents[4] / "golden"
GPUS = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
DATA = {
    "name": "data",
    "mountPath": "/data",
    "readOnly": True,
    "persistentVolumeClaim": {"claimName": "images"},
}
JOBS: dict[str, Blueprint] = {
    "ensemble": blueprint(
        **{
            "islands": {
                "count": 2,
                "template": GPUS,
                "overrides": [{"island": 1, "template": {"nodeSelector": {"zone": "b"}}}],
            },
            "data.source": "file:///data/digits.npz",
            "template": {"volumes": [DATA]},
            "roles": [{"role": "hub", "template": {"priorityClassName": "steady"}}],
            "artifacts.storage": {
                "type": "PersistentVolumeClaim",
                "persistentVolumeClaim": {"size": "20Gi"},
            },
            "network.egress": [{"cidr": "10.0.0.0/8", "ports": [443]}],
        }
    ),
    "iterative_merge": blueprint(
        **{
            **MERGING,
            "islands": {
                "count": 5,
                "quorum": 4,
                "threads": 2,
                "template": {"env": [{"name": "SITE", "value": "site-{island}"}]},
            },
        }
    ),
}


class Readable(yaml.SafeDumper):
    """Texts of several lines as such, and no reference from one place to another."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Readable.add_representer(str, _text)


def as_yaml(objects: list[Json]) -> str:
    return yaml.dump_all(objects, Dumper=Readable, sort_keys=False, width=100)


@pytest.mark.parametrize("name", JOBS)
def test_golden(name: str) -> None:
    path, text = GOLDEN / f"objects_{name}.yaml", as_yaml(all_objects(JOBS[name]))
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(text)
    assert text.splitlines() == path.read_text().splitlines()


@pytest.mark.parametrize("name", JOBS)
def test_kubernetes_knows_every_field(name: str) -> None:
    for it in all_objects(JOBS[name]):
        assert as_kubernetes_reads_it(it) == it


@pytest.mark.parametrize("name", JOBS)
def test_equal_blueprints_give_equal_objects_and_names_are_distinct(name: str) -> None:
    one, two = all_objects(JOBS[name]), all_objects(JOBS[name])
    assert one == two
    assert len({(it["kind"], it["metadata"]["name"]) for it in one}) == len(one)


def test_no_job_has_the_name_of_another_ones_object() -> None:
    suffixes = ["", "-hub", "-job", "-islands", "-island-0", "-merge", "-identity"]
    spec = {**MERGING, "strategy": {"type": "SingleMerge"}}
    found = [
        (it["kind"], it["metadata"]["name"])
        for suffix in suffixes
        for it in all_objects(named(f"digits{suffix}", **spec))
    ]
    assert len(set(found)) == len(found)


def test_everything_belongs_to_the_training_job() -> None:
    for drawn in JOBS.values():
        for it in all_objects(drawn):
            (owner,) = it["metadata"]["ownerReferences"]
            assert (owner["uid"], owner["controller"]) == (drawn.resolved.job.uid, True)
            assert it["metadata"]["namespace"] == "lab"
            assert it["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "atoll-operator"
