"""Stories of operators that do well, and of those that do not."""

from alert_stories import Fired, Story, operator

_SYSTEM = {"namespace": "atoll-system"}
_POD = {**_SYSTEM, "pod": "atoll-operator-0"}
_GONE = (
    "No replica in atoll-system has said for 2 minutes that it leads. What runs goes on; jobs are "
    "not looked at."
)


def _leads(pod: str) -> str:
    return operator("atoll_operator_leader", pod)


def _passes(result: str) -> str:
    return operator("atoll_operator_reconcile_total", result=result)


def _requests(code: str, verb: str = "get") -> str:
    return operator("atoll_operator_api_requests_total", verb=verb, resource="jobs", code=code)


STORIES = (
    Story(
        "AtollNoLeader",
        "two replicas, and none leads",
        {_leads("a"): "0x20", _leads("b"): "0x20"},
        5,
        (Fired(_SYSTEM, _GONE),),
    ),
    Story(
        "AtollNoLeader",
        "the operator is gone",
        {_leads("a"): "1x5 stale _x30"},
        15,
        (Fired(_SYSTEM, _GONE),),
    ),
    Story("AtollNoLeader", "one leads", {_leads("a"): "1x20", _leads("b"): "0x20"}, 15),
    Story(
        "AtollNoLeader",
        "another takes over within a minute",
        {_leads("a"): "1x5 0x20", _leads("b"): "0x6 1x20"},
        7,
    ),
    Story("AtollNoLeader", "a run on a laptop has no operator", {}, 15),
    Story(
        "AtollReconcileErrors",
        "a seventh of all passes fail",
        {_passes("success"): "0+60x40", _passes("error"): "0+10x40"},
        30,
        (
            Fired(
                _SYSTEM,
                "14.29% of the passes of the operator in atoll-system failed in the last 10 minutes.",
            ),
        ),
    ),
    Story(
        "AtollReconcileErrors",
        "one in sixty fails",
        {_passes("success"): "0+60x40", _passes("error"): "0+1x40"},
        30,
    ),
    Story(
        "AtollReconcileErrors",
        "nothing is to be done",
        {_passes("success"): "7x40", _passes("error"): "0x40"},
        30,
    ),
    Story(
        "AtollPassHangs",
        "a pass that began 15 minutes ago",
        {operator("atoll_operator_workqueue_longest_running_seconds"): "0+60x20"},
        15,
        (Fired(_POD, "atoll-operator-0 in atoll-system has been at one job for 15m 0s."),),
    ),
    Story(
        "AtollPassHangs",
        "passes of half a minute",
        {operator("atoll_operator_workqueue_longest_running_seconds"): "30x20"},
        15,
    ),
    Story(
        "AtollWatchStale",
        "not a word for 15 minutes",
        {operator("atoll_operator_watch_age_seconds", resource="pods"): "0+60x20"},
        15,
        (
            Fired(
                {**_POD, "resource": "pods"},
                "atoll-operator-0 in atoll-system has heard nothing of pods for 15m 0s; a bookmark "
                "comes every minute.",
            ),
        ),
    ),
    Story(
        "AtollWatchStale",
        "a bookmark a minute",
        {operator("atoll_operator_watch_age_seconds", resource="pods"): "0 58 1 59 0 60 2 57 1 58"},
        9,
    ),
    Story(
        "AtollApiErrors",
        "the server breaks now and then",
        {_requests("200"): "0+100x40", _requests("500"): "0+10x40"},
        30,
        (
            Fired(
                _SYSTEM,
                "9.091% of the requests of the operator in atoll-system were refused, throttled or "
                "not answered in the last 10 minutes.",
            ),
        ),
    ),
    Story(
        "AtollApiErrors",
        "nobody answers",
        {_requests("200"): "0x40", _requests("0"): "0+10x40"},
        30,
        (
            Fired(
                _SYSTEM,
                "100% of the requests of the operator in atoll-system were refused, throttled or "
                "not answered in the last 10 minutes.",
            ),
        ),
    ),
    Story(
        "AtollApiErrors",
        "what is not there yet, or changed meanwhile, is no error",
        {_requests("200"): "0+10x40", _requests("404"): "0+90x40", _requests("409"): "0+9x40"},
        30,
    ),
    Story(
        "AtollRestartStorm",
        "two a minute",
        {operator("atoll_operator_island_restarts_total", reason="OOMKilled"): "0+2x30"},
        25,
        (
            Fired(
                {**_SYSTEM, "reason": "OOMKilled"},
                "30 restarts in 15 minutes because of OOMKilled, over all jobs of the operator in "
                "atoll-system.",
            ),
        ),
    ),
    Story(
        "AtollRestartStorm",
        "islands are moved from nodes",
        {operator("atoll_operator_island_restarts_total", reason="Disrupted"): "0+20x30"},
        25,
    ),
    Story(
        "AtollRestartStorm",
        "one in three minutes",
        {operator("atoll_operator_island_restarts_total", reason="Error"): "0 0 1 1 1 2 2 2 3 3 3"},
        10,
    ),
)
