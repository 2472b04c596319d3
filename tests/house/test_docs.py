"""What the documentation shows of a job is one, or a part that changes the smallest one."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from shown_jobs import PAGES, document_of, shown_jobs, without_jobs

from atoll_api.problems import parse_job, warnings

SHOWN = shown_jobs()


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_what_is_shown_is_a_job_without_a_warning(shown: Mapping[str, Any]) -> None:
    assert warnings(parse_job(document_of(shown)).spec) == []


def test_every_job_is_shown_in_a_block_that_is_looked_at() -> None:
    assert len(SHOWN) >= 12
    for page in PAGES:
        rest = without_jobs(page)
        found = re.search(r"^\s*(strategy|islands|artifacts): *(\{|$)", rest, re.MULTILINE)
        assert not found, f"{page.name}: say ```yaml"
