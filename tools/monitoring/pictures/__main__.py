"""`python -m tools.monitoring.pictures --prometheus URL --job NAME --out docs/pictures`.

Draws each dashboard into OUT/dashboard-NAME.png, over the time in which the job has said anything
within the last hours.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.monitoring.pictures.answers import chosen, shown
from tools.monitoring.pictures.page import draw
from tools.monitoring.pictures.prometheus import Prometheus, PrometheusError, Span

FOLDER = Path(__file__).resolve().parents[3] / "charts/atoll/files/dashboards"
POINTS = 160
"""Values of a curve."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw them; 1, with one line that says why, if that cannot be."""
    options = _options(arguments)
    prometheus = Prometheus(options.prometheus)
    wanted = {"namespace": options.namespace, "job": options.job}
    try:
        span = span_of(prometheus, wanted, options.hours, options.end or time.time())
        for file in sorted(FOLDER.glob("*.json")):
            if options.only and file.stem not in options.only:
                continue
            document = json.loads(file.read_text())
            values = chosen(document, prometheus, span, wanted)
            path = options.out / f"dashboard-{file.stem.removeprefix('atoll-')}.png"
            draw(shown(document, prometheus, span, values), span, path)
            print(path)
    except PrometheusError as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    return 0


def span_of(prometheus: Prometheus, wanted: dict[str, str], hours: float, end: float) -> Span:
    """From the first to the last word of a job, a little more on both sides.

    Raises:
        PrometheusError: there is none.
    """
    selector = 'namespace="{namespace}", trainingjob="{job}"'.format(**wanted)
    coarse = Span(end - hours * 3600, end, hours * 3600 / 5000)
    found = prometheus.over(f"atoll_hub_artifacts{{{selector}}}", coarse)
    times = [time for series in found for time in series.times]
    if not times:
        raise PrometheusError(f"no word of {selector} within {hours:g} hours")
    first, last = min(times) - coarse.step, max(times)
    margin = max(0.02 * (last - first), 1.0)
    step = max((last - first + margin) / POINTS, 1.0)
    return Span(first - margin, last, step)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.monitoring.pictures", description=__doc__
    )
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--job", required=True, help="trainingjob")
    parser.add_argument("--namespace", default="local", help="of the job; local for a run here")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--hours", type=float, default=6.0, help="how far to look back")
    parser.add_argument("--end", type=float, help="seconds since the epoch; now if left out")
    parser.add_argument(
        "--only", nargs="*", metavar="UID", help="such as atoll-job; all if left out"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
