"""The cluster is one: names, Services, tokens, volumes, and pods that are not allowed."""

import json

from kubectl import Document, Kubectl, is_ready, phase, python_pod, waiting_reason

SERVE = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080)"
ASK = "import urllib.request as r; print(r.urlopen('http://web:8080/tmp').status)"
ASK_API = """
import ssl, urllib.request as r
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
token = open(folder + "token").read()
question = r.Request("https://kubernetes.default.svc/api", headers={"Authorization": "Bearer " + token})
context = ssl.create_default_context(cafile=folder + "ca.crt")
print(r.urlopen(question, context=context).status)
"""


def service(name: str, port: int) -> Document:
    spec = {"selector": {"app": name}, "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def claim(name: str) -> Document:
    size = {"requests": {"storage": "16Mi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": size}
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def pod_with_claim(name: str, image: str, code: str) -> Document:
    return python_pod(
        name,
        image,
        code,
        volumes=[{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}],
        volumeMounts=[{"name": "kept", "mountPath": "/kept"}],
    )


def test_a_pod_reaches_another_by_the_name_of_its_service(
    kubectl: Kubectl, operator_image: str
) -> None:
    ready = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    server = python_pod("web", operator_image, SERVE, readinessProbe=ready)
    kubectl.apply(server, service("web", 8080))
    kubectl.until("web", is_ready)
    kubectl.apply(python_pod("asks", operator_image, ASK))
    assert kubectl.ended("asks") == (0, "200\n")
    assert '"GET /tmp' in kubectl.run("logs", "web")
    assert kubectl.run("exec", "web", "--", "python", "-c", ASK) == "200\n"


def test_a_pod_talks_to_the_api_server_as_its_service_account(
    kubectl: Kubectl, operator_image: str
) -> None:
    kubectl.apply(python_pod("asks", operator_image, ASK_API))
    assert kubectl.ended("asks") == (0, "200\n")


def test_a_pod_that_may_become_root_is_refused(kubectl: Kubectl, operator_image: str) -> None:
    pod = python_pod("rooted", operator_image, "", securityContext={"runAsUser": 0})
    refused = kubectl.tried("apply", "-f", "-", stdin=json.dumps(pod))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_what_is_written_to_a_claim_outlives_its_pod(kubectl: Kubectl, operator_image: str) -> None:
    kubectl.apply(claim("kept"))
    kubectl.apply(pod_with_claim("writes", operator_image, "open('/kept/a', 'w').write('b')"))
    assert kubectl.ended("writes")[0] == 0
    kubectl.run("delete", "pod", "writes")
    kubectl.apply(pod_with_claim("reads", operator_image, "print(open('/kept/a').read())"))
    assert kubectl.ended("reads") == (0, "b\n")


def test_an_image_that_is_not_there_is_said_so(kubectl: Kubectl) -> None:
    pod = python_pod("lacks", "atoll.dev/no-such-image:1", "", imagePullPolicy="Never")
    kubectl.apply(pod)
    kubectl.until("lacks", lambda one: waiting_reason(one) == "ErrImageNeverPull")
    assert phase(kubectl.pod("lacks")) == "Pending"
