"""Rules that tie the task to data, partition and router."""

from collections.abc import Iterator

from atoll_api.rules.finding import Finding
from atoll_api.spec.job import TrainingJobSpec
from atoll_api.spec.task import GptSettings

_TEXT_PARTITIONS = ("TextClusters", "Random", "PerIsland")


def violations(spec: TrainingJobSpec) -> Iterator[Finding]:
    """What cannot work."""
    yield from _partition(spec)
    yield from _router(spec)
    yield from _gpt_heads(spec)
    yield from _prefix(spec)


def _is_text(spec: TrainingJobSpec) -> bool:
    return spec.task.type == "Language"


def _partition(spec: TrainingJobSpec) -> Iterator[Finding]:
    kind = spec.partition.type
    if _is_text(spec) and kind not in _TEXT_PARTITIONS:
        hint = f"say {' or '.join(_TEXT_PARTITIONS)}"
        yield Finding("partition.type", f"{kind} does not divide text", hint)
    if kind == "TextClusters" and not _is_text(spec):
        message = f"TextClusters divides text, and a {spec.task.type} task has none"
        yield Finding("partition.type", message, "say FeatureClusters")


def _router(spec: TrainingJobSpec) -> Iterator[Finding]:
    ensemble = spec.strategy.expert_ensemble
    if ensemble is None:
        return
    kind, field = ensemble.router.type, "strategy.expertEnsemble.router.type"
    if (kind == "Learned") == _is_text(spec):
        usable = "Centroid or Likelihood" if _is_text(spec) else "Learned"
        yield Finding(
            field, f"{kind} does not route what a {spec.task.type} task reads", f"say {usable}"
        )
    elif kind == "Centroid" and spec.partition.type == "Random":
        yield Finding(
            field,
            "Centroid needs the centres of TextClusters, the partition is Random",
            "say Likelihood, or partition: {type: TextClusters}",
        )


def _gpt_heads(spec: TrainingJobSpec) -> Iterator[Finding]:
    gpt = _gpt(spec)
    if gpt is not None and gpt.width % gpt.heads:
        yield Finding(
            "task.language.architecture.gpt.heads",
            f"{gpt.heads} heads do not divide the width {gpt.width}",
            "choose a divisor of the width",
        )


def _prefix(spec: TrainingJobSpec) -> Iterator[Finding]:
    gpt, ensemble = _gpt(spec), spec.strategy.expert_ensemble
    if gpt is None or ensemble is None:
        return
    router = ensemble.router
    chosen = router.centroid or router.likelihood
    if chosen is not None and chosen.prefix >= gpt.context:
        member = "centroid" if router.centroid else "likelihood"
        yield Finding(
            f"strategy.expertEnsemble.router.{member}.prefix",
            f"a prefix of {chosen.prefix} leaves nothing to score of {gpt.context} tokens",
            f"say {gpt.context // 4}",
        )


def _gpt(spec: TrainingJobSpec) -> GptSettings | None:
    return spec.task.language.architecture.gpt if spec.task.language else None
