"""Labels, and which a user may not set."""

import re

import pytest

from atoll_api import names


def test_labels_of_an_island() -> None:
    assert names.labels("digits", "0.1.0", "island", 3) == {
        "app.kubernetes.io/name": "atoll",
        "app.kubernetes.io/instance": "digits",
        "app.kubernetes.io/component": "island",
        "app.kubernetes.io/managed-by": "atoll-operator",
        "app.kubernetes.io/version": "0.1.0",
        "atoll.dev/job": "digits",
        "atoll.dev/role": "island",
        "atoll.dev/island": "3",
    }


def test_what_is_selected_by_is_a_part_of_the_labels_and_has_no_version() -> None:
    selector = names.selector("digits", "hub")
    assert selector.items() <= names.labels("digits", "1", "hub").items()
    assert selector == names.selector("digits") | {"atoll.dev/role": "hub"}


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0.dev1+g12ab", "v" * 80, "1.0-"])
def test_any_version_is_a_label(version: str) -> None:
    value = names.labels("digits", version)["app.kubernetes.io/version"]
    assert re.fullmatch(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?", value)


def test_every_label_that_is_set_is_reserved() -> None:
    keys = names.labels("digits", "1", "island", 0).keys()
    assert all(names.is_reserved_key(key) for key in (*keys, names.LABEL_COMPLETION_INDEX))


@pytest.mark.parametrize("key", ["team", "notatoll.dev/x", "kueue.x-k8s.io/queue-name", "app"])
def test_other_keys_are_free(key: str) -> None:
    assert not names.is_reserved_key(key)
