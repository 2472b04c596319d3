"""What happens, and which alerts it is worth: series as Prometheus would have them.

A value a minute from the epoch on, in the notation of promtool: `1x5` is six times 1, `0+2x5` goes
up by 2, `_` is a scrape that was missed. `time()` is the minute in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Series = Mapping[str, str]


@dataclass(frozen=True)
class Fired:
    """One alert that is expected, with all its labels but severity."""

    labels: Mapping[str, str]
    description: str


@dataclass(frozen=True)
class Story:
    """What Prometheus sees, and what an alert makes of it at a minute."""

    alert: str
    tells: str
    series: Series
    minute: int
    fires: tuple[Fired, ...] = ()

    def test(self, severity: str, annotations: Mapping[str, str]) -> dict[str, Any]:
        """As `promtool test rules` reads it; the other annotations are those of the rule."""
        expected = [
            {
                "exp_labels": {**it.labels, "severity": severity},
                "exp_annotations": {**annotations, "description": it.description},
            }
            for it in self.fires
        ]
        asked = {"eval_time": f"{self.minute}m", "alertname": self.alert, "exp_alerts": expected}
        inputs = [{"series": name, "values": it} for name, it in self.series.items()]
        return {"interval": "1m", "input_series": inputs, "alert_rule_test": [asked]}


def labelled(name: str, **labels: str) -> str:
    """A series by its name and labels."""
    inside = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}"


HUB = {"namespace": "lab", "trainingjob": "digits", "pod": "digits-hub-0", "role": "hub"}
"""What the scrape configuration says of a hub."""
JOB = {"namespace": "lab", "trainingjob": "digits"}


def told(name: str, step: str = "island-0", **labels: str) -> str:
    """A series that the hub says of a step."""
    return labelled(name, **HUB, step=step, **labels)


def operator(name: str, pod: str = "atoll-operator-0", **labels: str) -> str:
    """A series of an operator."""
    return labelled(name, namespace="atoll-system", pod=pod, **labels)


def of_object(name: str, job: str = "digits", pod: str = "atoll-operator-0", **labels: str) -> str:
    """A series that an operator says of a job."""
    return labelled(name, namespace="lab", trainingjob=job, pod=pod, **labels)


def training(steps: str, target: int = 1000, heard: str = "0+60x300") -> dict[str, str]:
    """A step at work: steps done, of so many, and when the hub heard of it."""
    return {
        told("atoll_reported_train_steps_total"): steps,
        told("atoll_reported_train_target_steps"): f"{target}x300",
        told("atoll_hub_last_report_timestamp_seconds"): heard,
    }
