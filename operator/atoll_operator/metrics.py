"""Every metric of the operator: the catalogue that dashboards and alerts build on.

Two kinds. Those of the component (`atoll_operator_...`) count what this process does; no object's
name is in them, so that they do not grow with the cluster. Those of the objects
(`kube_atoll_trainingjob_...`) are made when they are asked for, of the jobs as they were seen last,
and vanish with their job; they can be switched off. All replicas see all jobs: only the leader
tells of them, or else every sum would be doubled.
"""

from typing import Final, get_args

from atoll_api.status import ConditionType, JobState
from atoll_telemetry.families import Label, counter, gauge, histogram

_BUCKETS: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)

PASS: Final = Label("result", "How the pass ended.", ("success", "error"))
VERB: Final = Label(
    "verb",
    "What was asked.",
    ("create", "get", "list", "watch", "patch", "update", "apply", "delete"),
)
RESOURCE: Final = Label(
    "resource",
    "Plural of the kind, with the subresource behind a slash.",
    (
        *("trainingjobs", "trainingjobs/status", "jobs", "pods", "statefulsets", "services"),
        *("secrets", "configmaps", "persistentvolumeclaims", "networkpolicies", "events"),
        *("leases", "namespaces", "customresourcedefinitions", "other"),
    ),
)
CODE: Final = Label("code", "The HTTP status; 0 without an answer.")
WATCHED: Final = Label(
    "resource",
    "Plural of the kind that is watched.",
    ("jobs", "pods", "statefulsets"),
)
VERSION: Final = Label("version", "Of Atoll.")
STATE: Final = Label("state", "As the status says it to people.", get_args(JobState))
ENDED: Final = Label("result", "How the job ended.", ("Complete", "Failed"))
REASON: Final = Label("reason", "Why, as its condition says; of the list in troubleshooting.")
RESTART: Final = Label(
    "reason",
    "Why the attempt before it ended: `OOMKilled`, `Disrupted` (moved, evicted or told to stop: not "
    "counted by `maxRestarts`), or any other `Error`.",
    ("Error", "OOMKilled", "Disrupted"),
)
NAMESPACE: Final = Label("namespace", "Of the job.")
JOB: Final = Label("trainingjob", "Its name.")
UID: Final = Label("uid", "Its uid.")
STRATEGY: Final = Label(
    "strategy", "Of the job.", ("ExpertEnsemble", "IterativeMerge", "SingleMerge")
)
CONDITION: Final = Label("condition", "Its type.", get_args(ConditionType))
STATUS: Final = Label("status", "Of the condition.", ("true", "false", "unknown"))
ISLAND_STATE: Final = Label(
    "state", "Of the island.", ("Waiting", "Pending", "Running", "Succeeded", "Failed")
)

# -- the component ------------------------------------------------------------------------------
BUILD_INFO: Final = gauge("atoll_operator_build_info", "1; which Atoll runs here.", VERSION)
LEADER: Final = gauge("atoll_operator_leader", "1 while this replica leads, else 0.")
RECONCILES: Final = counter("atoll_operator_reconcile_total", "Passes over a job.", PASS)
RECONCILE_SECONDS: Final = histogram(
    "atoll_operator_reconcile_duration_seconds",
    "Seconds of one pass over a job.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
)
QUEUE_DEPTH: Final = gauge("atoll_operator_workqueue_depth", "Jobs that wait for a pass.")
QUEUE_WORKING: Final = gauge("atoll_operator_workqueue_working", "Jobs that are in a pass now.")
QUEUE_LONGEST: Final = gauge(
    "atoll_operator_workqueue_longest_running_seconds", "How long the longest pass lasts by now."
)
QUEUE_WAIT: Final = histogram(
    "atoll_operator_workqueue_wait_seconds",
    "Seconds that a job waited for its pass.",
    buckets=(0.001, 0.01, 0.1, 1.0, 10.0, 100.0),
)
RETRIES: Final = counter(
    "atoll_operator_workqueue_retries_total", "Passes that had to be repeated after an error."
)
REQUESTS: Final = counter(
    "atoll_operator_api_requests_total", "Requests to the API server.", VERB, RESOURCE, CODE
)
REQUEST_SECONDS: Final = histogram(
    "atoll_operator_api_request_duration_seconds",
    "Seconds until the API server answered; of a watch, until it began.",
    VERB,
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
)
WATCH_AGE: Final = gauge(
    "atoll_operator_watch_age_seconds",
    "Seconds since a watch said anything; a bookmark comes every minute.",
    WATCHED,
)
HUB_POLLS: Final = counter(
    "atoll_operator_hub_polls_total", "How often hubs were asked how far their jobs are.", PASS
)

# -- what jobs do, by this leader ---------------------------------------------------------------
JOBS: Final = gauge(
    "atoll_operator_trainingjobs", "Jobs that are there; 0 where a replica does not lead.", STATE
)
FINISHED: Final = counter(
    "atoll_operator_trainingjobs_finished_total", "Jobs that have ended.", ENDED, REASON
)
START_SECONDS: Final = histogram(
    "atoll_operator_trainingjob_start_seconds",
    "Seconds from a job's creation to its first step at work.",
    buckets=_BUCKETS,
)
DURATION_SECONDS: Final = histogram(
    "atoll_operator_trainingjob_duration_seconds",
    "Seconds from a job's creation to its end.",
    ENDED,
    buckets=(10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0, 7 * 24 * 3600.0),
)
RESTARTS: Final = counter(
    "atoll_operator_island_restarts_total", "Attempts of islands after their first.", RESTART
)
RECOVERY_SECONDS: Final = histogram(
    "atoll_operator_island_recovery_seconds",
    "Seconds from the end of an island's attempt to the next one at work.",
    buckets=_BUCKETS,
)
MERGE_SECONDS: Final = histogram(
    "atoll_operator_merge_duration_seconds",
    "Seconds of the step that makes one model of the islands.",
    buckets=_BUCKETS,
)

# -- the objects --------------------------------------------------------------------------------
_OBJECTS: Final = "the leader alone, unless `metrics.objects` is switched off"
JOB_INFO: Final = gauge(
    "kube_atoll_trainingjob_info", "1; what a job is.", NAMESPACE, JOB, UID, STRATEGY, when=_OBJECTS
)
JOB_CREATED: Final = gauge(
    "kube_atoll_trainingjob_created",
    "When it was created, in seconds since the epoch.",
    NAMESPACE,
    JOB,
    when=_OBJECTS,
)
JOB_STATE: Final = gauge(
    "kube_atoll_trainingjob_state",
    "1 for the state that it is in, else 0.",
    NAMESPACE,
    JOB,
    STATE,
    when=_OBJECTS,
)
JOB_CONDITION: Final = gauge(
    "kube_atoll_trainingjob_status_condition",
    "1 for the status that a condition has, else 0.",
    NAMESPACE,
    JOB,
    CONDITION,
    STATUS,
    when=_OBJECTS,
)
JOB_ISLANDS: Final = gauge(
    "kube_atoll_trainingjob_islands",
    "Islands by their state.",
    NAMESPACE,
    JOB,
    ISLAND_STATE,
    when=_OBJECTS,
)
JOB_PROGRESS: Final = gauge(
    "kube_atoll_trainingjob_progress_ratio",
    "How much of its work is done, from 0 to 1.",
    NAMESPACE,
    JOB,
    when=_OBJECTS,
)
JOB_RESTARTS: Final = gauge(
    "kube_atoll_trainingjob_island_restarts",
    "Restarts of its islands so far.",
    NAMESPACE,
    JOB,
    when=_OBJECTS,
)

COMPONENT: Final = (
    *(BUILD_INFO, LEADER, RECONCILES, RECONCILE_SECONDS, QUEUE_DEPTH, QUEUE_WORKING),
    *(QUEUE_LONGEST, QUEUE_WAIT, RETRIES, REQUESTS, REQUEST_SECONDS, WATCH_AGE, HUB_POLLS),
    *(JOBS, FINISHED, START_SECONDS, DURATION_SECONDS, RESTARTS, RECOVERY_SECONDS, MERGE_SECONDS),
)
OBJECTS: Final = (
    *(JOB_INFO, JOB_CREATED, JOB_STATE, JOB_CONDITION, JOB_ISLANDS, JOB_PROGRESS, JOB_RESTARTS),
)
ALL: Final = (*COMPONENT, *OBJECTS)
"""The whole catalogue."""
