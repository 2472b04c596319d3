"""The network of the cluster, all of it on this machine."""

from ipaddress import IPv4Network

NODE = "node1"
DOMAIN = "cluster.local"
BRIDGE = "atoll0"
PODS = IPv4Network("10.244.0.0/16")
GATEWAY = PODS[1]
"""The bridge: the node's address for pods, where DNS and the API server answer them."""
SERVICES = IPv4Network("10.96.0.0/16")
API_SERVICE = SERVICES[1]
NETWORK = "atoll-test-cluster"
"""The name of the pod network, which the packet filter's comments carry."""
CGROUP = "atoll-test-cluster"
"""All pods are below it, in every hierarchy."""
MAX_PODS = 400

API_PORT = 6443
ETCD_PORT = 22379
ETCD_PEER_PORT = 22380
PORTS = {
    "etcd": (ETCD_PORT, ETCD_PEER_PORT),
    "kube-apiserver": (API_PORT,),
    "kube-controller-manager": (10257,),
    "kube-scheduler": (10259,),
    "kubelet": (10248, 10250),
    "kube-proxy": (10249, 10256),
}
"""Taken on this machine; 22379 and not 2379, where a system's own etcd may listen."""

IMAGES = {"operator": "atoll.dev/operator:test", "worker": "atoll.dev/worker:test"}
"""Target of the Dockerfile -> the name that pods use, with `imagePullPolicy: Never`."""
PAUSE_IMAGE = "atoll.dev/test-cluster/pause:1"
STORAGE_CLASS = "local-folders"
PROVISIONER = "atoll.dev/local-folders"
