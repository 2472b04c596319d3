"""Stories of jobs: how they begin, end, restart and are seen."""

from alert_stories import HUB, JOB, Fired, Story, labelled, of_object


def _state(state: str, pod: str = "atoll-operator-0", job: str = "digits") -> str:
    return of_object("kube_atoll_trainingjob_state", job, pod, state=state)


def _islands(state: str) -> str:
    return of_object("kube_atoll_trainingjob_islands", state=state)


_RESTARTS = of_object("kube_atoll_trainingjob_island_restarts")
_DEGRADED = of_object(
    "kube_atoll_trainingjob_status_condition", condition="Degraded", status="true"
)
_STORE = labelled("atoll_hub_store_bytes", **HUB)
_QUOTA = labelled("atoll_hub_store_quota_bytes", **HUB)
_FREE = labelled("atoll_hub_disk_free_bytes", **HUB)
_SIZE = labelled("atoll_hub_disk_size_bytes", **HUB)
_EXPIRY = labelled("atoll_certificate_expiry_timestamp_seconds", **HUB)
_ARTIFACTS = labelled("atoll_hub_artifacts", **HUB)

STORIES = (
    Story(
        "AtollJobPending",
        "pending, as both replicas see it",
        {_state("Pending"): "1x40", _state("Pending", "atoll-operator-1"): "1x40"},
        35,
        (Fired(JOB, "lab/digits has been pending for more than 30 minutes."),),
    ),
    Story("AtollJobPending", "pending for 20 minutes", {_state("Pending"): "1x20 0x40"}, 35),
    Story("AtollJobPending", "at work", {_state("Pending"): "0x40", _state("Running"): "1x40"}, 35),
    Story(
        "AtollIslandsPending",
        "two of four have no node",
        {_islands("Pending"): "2x40", _islands("Running"): "2x40"},
        35,
        (
            Fired(
                JOB,
                "2 islands of lab/digits were started more than 30 minutes ago and have not said a "
                "word.",
            ),
        ),
    ),
    Story("AtollIslandsPending", "all begin", {_islands("Pending"): "4x10 0x40"}, 35),
    Story(
        "AtollJobDegraded",
        "an island is lost",
        {_DEGRADED: "0x5 1x20", _state("Running"): "1x30", _state("Complete"): "0x30"},
        10,
        (Fired(JOB, "lab/digits has lost islands for good; its quorum holds."),),
    ),
    Story(
        "AtollJobDegraded",
        "it has ended nevertheless",
        {_DEGRADED: "0x5 1x20", _state("Running"): "0x30", _state("Complete"): "1x30"},
        10,
    ),
    Story("AtollJobDegraded", "nothing is lost", {_DEGRADED: "0x30", _state("Running"): "1x30"}, 9),
    Story(
        "AtollJobFailed",
        "it failed half an hour ago",
        {_state("Failed"): "0x5 1x200"},
        30,
        (Fired(JOB, "lab/digits failed in the last hour."),),
    ),
    Story("AtollJobFailed", "it failed long ago", {_state("Failed"): "0x5 1x200"}, 120),
    Story("AtollJobFailed", "it is complete", {_state("Failed"): "0x30"}, 20),
    Story(
        "AtollJobRestartStorm",
        "four islands, a restart a minute",
        {_RESTARTS: "0+1x30", _islands("Running"): "4x30", _islands("Pending"): "0x30"},
        25,
        (Fired(JOB, "15 restarts of islands of lab/digits in 15 minutes."),),
    ),
    Story(
        "AtollJobRestartStorm",
        "a thousand islands, a restart a minute",
        {_RESTARTS: "0+1x30", _islands("Running"): "999x30", _islands("Pending"): "1x30"},
        25,
    ),
    Story(
        "AtollJobRestartStorm",
        "restarts of long ago",
        {_RESTARTS: "40x30", _islands("Running"): "4x30"},
        25,
    ),
    Story(
        "AtollHubQuotaNearlyFull",
        "19 of 20 GB",
        {_STORE: "19e9x10", _QUOTA: "20e9x10"},
        8,
        (Fired(HUB, "The hub of lab/digits holds 95% of its quota."),),
    ),
    Story("AtollHubQuotaNearlyFull", "half", {_STORE: "10e9x10", _QUOTA: "20e9x10"}, 8),
    Story("AtollHubQuotaNearlyFull", "no quota", {_STORE: "10e9x10", _QUOTA: "0x10"}, 8),
    Story(
        "AtollHubDiskNearlyFull",
        "5 of 100 GB are left",
        {_FREE: "5e9x10", _SIZE: "100e9x10"},
        8,
        (Fired(HUB, "The disk below the store of lab/digits has 5% left."),),
    ),
    Story("AtollHubDiskNearlyFull", "half", {_FREE: "50e9x10", _SIZE: "100e9x10"}, 8),
    Story("AtollHubDiskNearlyFull", "a bucket has no disk", {_STORE: "5e9x10"}, 8),
    Story(
        "AtollCertificateExpires",
        "in ten days",
        {_EXPIRY: "864000x200"},
        120,
        (
            Fired(
                {**JOB, "role": "hub"},
                "The certificate of a process of lab/digits (hub) ends in 9d 22h 0m 0s.",
            ),
        ),
    ),
    Story("AtollCertificateExpires", "in a year", {_EXPIRY: "31536000x200"}, 120),
    Story("AtollCertificateExpires", "there is none", {_EXPIRY: "0x200"}, 120),
    Story(
        "AtollTargetDown",
        "a hub behind a wall",
        {labelled("up", **HUB, instance="10.0.0.7:9464"): "0x20"},
        10,
        (
            Fired(
                {**HUB, "instance": "10.0.0.7:9464"},
                "10.0.0.7:9464 (hub of lab/digits) has not answered Prometheus for 5 minutes.",
            ),
        ),
    ),
    Story(
        "AtollTargetDown",
        "somebody else's target, a step that has ended, and a hub that answers",
        {
            labelled("up", namespace="shop", instance="10.0.0.8:80"): "0x20",
            labelled("up", **{**HUB, "role": "router"}): "0x20",
            labelled("up", **HUB): "1x20",
        },
        10,
    ),
    Story(
        "AtollHubNotScraped",
        "digits runs, and only another job's hub is seen",
        {_state("Running"): "1x30", _ARTIFACTS.replace("digits", "text"): "5x30"},
        20,
        (
            Fired(
                JOB,
                "lab/digits runs, and Prometheus has no series of its hub; those of other jobs it "
                "had within a day.",
            ),
        ),
    ),
    Story("AtollHubNotScraped", "seen", {_state("Running"): "1x30", _ARTIFACTS: "5x30"}, 20),
    Story("AtollHubNotScraped", "nobody scrapes hubs", {_state("Running"): "1x30"}, 20),
    Story(
        "AtollHubNotScraped",
        "its hub is gone, as the job has ended",
        {_state("Complete"): "1x30", _ARTIFACTS.replace("digits", "text"): "5x30"},
        20,
    ),
)
