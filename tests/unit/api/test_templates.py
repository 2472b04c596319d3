"""Layers of templates: which one a pod gets."""

from typing import Any

import pytest
from builders import FULL_TEMPLATE, make_job
from hypothesis import given
from hypothesis import strategies as st

from atoll_api.names import Role
from atoll_api.spec.template import PodTemplate
from atoll_api.templates import merged, template_of


def template(**fields: Any) -> PodTemplate:
    return PodTemplate.from_document(fields)


def image(name: str) -> dict[str, Any]:
    return {"image": name}


@pytest.mark.parametrize(
    ("role", "island", "expected"),
    [
        ("hub", None, "hub"),
        ("router", None, "all"),
        ("island", None, "islands"),
        ("island", 0, "islands"),
        ("island", 2, "own"),
    ],
)
def test_the_most_special_layer_counts(role: Role, island: int | None, expected: str) -> None:
    spec = make_job(
        **{
            "template": image("all"),
            "roles": [
                {"role": "hub", "template": image("hub")},
                {"role": "island", "template": image("role")},
            ],
            "islands.template": image("islands"),
            "islands.overrides": [{"island": 2, "template": image("own")}],
        }
    ).spec
    assert template_of(spec, role, island).image == expected


def test_a_role_lies_between_all_and_the_islands() -> None:
    roles = [{"role": "island", "template": {"env": [{"name": "A", "value": "role"}]}}]
    layers = {
        "template": {"env": [{"name": name, "value": "all"} for name in "ABC"]},
        "roles": roles,
        "islands.template": {"env": [{"name": "B", "value": "islands"}]},
    }
    found = template_of(make_job(**layers).spec, "island")
    assert {it.name: it.value for it in found.env} == {"A": "role", "B": "islands", "C": "all"}


def test_a_job_that_says_nothing_has_an_empty_one() -> None:
    assert template_of(make_job().spec, "island", 1) == PodTemplate()


def test_maps_are_joined_key_by_key() -> None:
    base = template(nodeSelector={"a": "1", "b": "1"}, labels={"x": "1"}, annotations={"n": "1"})
    both = merged(
        base, template(nodeSelector={"b": "2"}, labels={"y": "2"}, annotations={"n": "2"})
    )
    assert both.node_selector == {"a": "1", "b": "2"}
    assert both.labels == {"x": "1", "y": "2"}
    assert both.annotations == {"n": "2"}


def test_what_a_later_layer_says_of_a_name_replaces_all_that_was_said_of_it() -> None:
    base = template(
        env=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
        volumes=[{"name": "d", "mountPath": "/d", "readOnly": True, "emptyDir": {}}],
    )
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    over = template(
        env=[{"name": "A", "valueFrom": reference}],
        volumes=[{"name": "d", "mountPath": "/e", "configMap": {"name": "c"}}],
    )
    both = merged(base, over)
    assert [it.name for it in both.env] == ["A", "B"]
    assert (both.env[0].value, both.env[0].value_from) == (None, over.env[0].value_from)
    assert both.volumes == over.volumes


def test_tolerations_add_up_and_affinity_is_replaced_whole() -> None:
    gpu, spot = {"key": "gpu", "operator": "Exists"}, {"key": "spot", "operator": "Exists"}
    base = template(tolerations=[gpu], affinity={"nodeAffinity": {"a": 1}})
    both = merged(base, template(tolerations=[spot, gpu], affinity={"podAffinity": {"b": 1}}))
    assert [it.key for it in both.tolerations] == ["gpu", "spot"]
    assert both.affinity is not None
    assert both.affinity.to_document() == {"podAffinity": {"b": 1}}


def test_resources_are_joined_by_name() -> None:
    base = template(resources={"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}})
    both = merged(base, template(resources={"limits": {"memory": "2Gi", "nvidia.com/gpu": 1}}))
    assert both.resources is not None
    assert both.resources.requests == {"cpu": "1"}
    assert both.resources.limits == {"memory": "2Gi", "nvidia.com/gpu": "1"}


def test_a_security_context_is_joined_field_by_field() -> None:
    base = template(securityContext={"runAsUser": 1000, "fsGroup": 1})
    both = merged(base, template(securityContext={"fsGroup": 2}))
    assert both.security_context is not None
    assert (both.security_context.run_as_user, both.security_context.fs_group) == (1000, 2)


PARTS = st.sets(st.sampled_from(sorted(FULL_TEMPLATE))).map(
    lambda names: template(**{name: FULL_TEMPLATE[name] for name in names})
)


@given(PARTS, PARTS, PARTS)
def test_merging_is_associative_and_nothing_changes_nothing(
    one: PodTemplate, two: PodTemplate, three: PodTemplate
) -> None:
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    assert merged(one, PodTemplate()) == merged(PodTemplate(), one) == merged(one, one) == one
