"""The files that the cluster's components read, and where they are."""

import json
import tomllib
from pathlib import Path

import pytest

from tools.cluster.__main__ import foreign_cluster, parse_flags
from tools.cluster.addresses import PORTS
from tools.cluster.components import NAMES, Programs, Wishes, components
from tools.cluster.documents import CNI_FILE, documents
from tools.cluster.errors import ClusterError
from tools.cluster.mounts import below
from tools.cluster.objects import objects
from tools.cluster.places import Places, find

PLACES = Places(Path("/state"), Path("/cache"))
PROGRAMS = Programs(Path("/built"), {"etcd": Path("/usr/bin/etcd")})


def test_the_components_are_those_that_status_and_logs_know() -> None:
    found = components(PLACES, PROGRAMS, Wishes())
    assert tuple(one.name for one in found) == NAMES
    assert found[0].argv[0] == "/usr/bin/etcd"
    assert found[2].argv[0] == "/built/kube-apiserver"
    assert set(PORTS) <= set(NAMES)


def test_a_user_has_the_last_word_on_a_flag() -> None:
    flags = parse_flags(["kube-controller-manager:--kube-api-qps=500", "etcd:--a=b", "etcd:-c"])
    found = {one.name: one.argv for one in components(PLACES, PROGRAMS, Wishes(flags=flags))}
    assert found["kube-controller-manager"][-1] == "--kube-api-qps=500"
    assert found["etcd"][-2:] == ("--a=b", "-c")


@pytest.mark.parametrize("flag", ["etcd", "etcd:", "ectd:--a=b", "--a=b"])
def test_a_flag_of_nobody_is_refused(flag: str) -> None:
    with pytest.raises(ClusterError, match="COMPONENT:--flag=value"):
        parse_flags([flag])


def test_the_audit_log_can_be_switched_off() -> None:
    def audited(wishes: Wishes) -> bool:
        return any("audit" in flag for flag in components(PLACES, PROGRAMS, wishes)[2].argv)

    assert audited(Wishes())
    assert not audited(Wishes(audit=False))


def test_every_file_that_a_component_names_is_written() -> None:
    written = {str(PLACES.configuration / name) for name in documents(PLACES, Path("/cni"))}
    for component in components(PLACES, PROGRAMS, Wishes()):
        named = {flag.rpartition("=")[2] for flag in component.argv if "configuration/" in flag}
        assert named <= written, component.name
        assert {str(path) for path in component.reads} <= written


def test_the_files_can_be_read_by_what_reads_them() -> None:
    files = documents(PLACES, Path("/cni"))
    runtime = tomllib.loads(files.pop("containerd.toml"))
    assert runtime["root"] == "/state/images"
    assert runtime["plugins"]["io.containerd.grpc.v1.cri"]["cni"]["bin_dir"] == "/cni"
    assert json.loads(files[CNI_FILE])["plugins"][0]["ipam"]["dataDir"] == "/state/network"
    assert files.pop("Corefile").count("{") == 3
    for text in files.values():
        json.loads(text)


def test_objects_are_applied_to_their_own_path() -> None:
    for path, document in objects().items():
        metadata = document["metadata"]
        assert isinstance(metadata, dict)
        assert path.endswith(f"/{metadata['name']}")


def test_where_things_are_kept() -> None:
    home = {"HOME": "/home/a"}
    assert find(home).state == Path("/home/a/.local/state/atoll/test-cluster")
    assert find(home).cache == Path("/home/a/.cache/atoll/test-cluster")
    assert find({**home, "XDG_STATE_HOME": "/x"}).state == Path("/x/atoll/test-cluster")
    assert find({**home, "ATOLL_CLUSTER_STATE": "/y"}).state == Path("/y")
    assert find({**home, "ATOLL_CLUSTER_STATE": "/y"}, state=Path("/z")).state == Path("/z")


@pytest.mark.parametrize("state", ["relative", "/" + "long/" * 20])
def test_a_state_folder_that_cannot_work_is_refused(state: str) -> None:
    with pytest.raises(ClusterError, match=r"absolute|shorter"):
        find({"ATOLL_CLUSTER_STATE": state})


def test_images_and_logs_outlive_the_cluster() -> None:
    assert PLACES.images not in PLACES.passing
    assert PLACES.logs not in PLACES.passing
    assert PLACES.etcd in PLACES.passing


def test_a_users_own_cluster_is_used() -> None:
    assert foreign_cluster({"KUBECONFIG": "/home/a/.kube/config"}, PLACES) == "/home/a/.kube/config"
    assert foreign_cluster({"KUBECONFIG": "/state/kubeconfig"}, PLACES) is None
    assert foreign_cluster({"KUBECONFIG": ""}, PLACES) is None
    assert foreign_cluster({}, PLACES) is None


def test_mounts_are_undone_from_the_last() -> None:
    text = (
        "22 1 0:20 / / rw - ext4 /dev/vda rw\n"
        "30 22 0:30 / /state/run rw - tmpfs tmpfs rw\n"
        "31 22 0:31 / /statement rw - tmpfs tmpfs rw\n"
        "32 30 0:32 / /state/run/a\\040b rw - overlay overlay rw\n"
    )
    assert below(text, Path("/state")) == [Path("/state/run/a b"), Path("/state/run")]
