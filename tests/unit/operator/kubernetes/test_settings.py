"""How an operator is set up: nonsense is refused with the name of the variable."""

import pytest

from atoll_operator.errors import SettingsError
from atoll_operator.kubernetes.settings import read

GIVEN = {
    "ATOLL_WORKER_IMAGE": "worker:1",
    "ATOLL_OPERATOR_NAMESPACE": "system",
    "ATOLL_OPERATOR_POD": "operator-0",
}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ATOLL_LOG_LEVEL": "loud"}, "ATOLL_LOG_LEVEL is 'loud': say debug, info"),
        ({"ATOLL_LOG_FORMAT": "xml"}, "ATOLL_LOG_FORMAT is 'xml': say json or text"),
        ({"ATOLL_TRACING_TO": "{}"}, "ATOLL_TRACING_TO is no JSON list"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:x"}, "'http://a:x' is no address of a coll"),
    ],
)
def test_nonsense_is_refused(variables: dict[str, str], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        read(GIVEN | variables)


def test_pods_are_told_where_traces_go_and_no_secret() -> None:
    told = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4000",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
    }
    own = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret", "OTEL_SERVICE_NAME": "mine"}
    found = read(GIVEN | told | own)
    assert found.tracing == told
    assert read(GIVEN | told | {"OTEL_SDK_DISABLED": "true"}).tracing == {}
