"""The plugin that pytest loads where batchtwin is installed: a test of a deployment is a few lines.

    def test_scores(batch_score):
        result = batch_score("deployment.yml", input="sample-data")
        assert result.ok
        assert len(result.predictions) == 100

It imports nothing of batchtwin before a test asks for the fixture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from batchtwin.api.result import Result

BatchScore = Callable[..., "Result"]
"""The type of the fixture `batch_score`, for annotations."""
RESULTS = pytest.StashKey[list["Result"]]()
FOLDER = "batchtwin"


@pytest.fixture
def batch_score(request: pytest.FixtureRequest, tmp_path: Path) -> BatchScore:
    """Score as `batchtwin.score` does, with the same options, in a folder below `tmp_path`.

    Relative paths are those of the working folder; what is not there is looked for in pytest's root folder, and in
    that of the test's file. Jobs are warm: those of one deployment share their imports. If the test fails, the jobs
    that did not complete are shown with cause and first failures.
    """
    import batchtwin
    from batchtwin.engine.backends.warm.settings import is_warm

    results = request.node.stash.setdefault(RESULTS, [])
    folders = (Path.cwd(), request.config.rootpath, request.path.parent)

    def find(value: Any) -> Any:
        if not isinstance(value, str | Path) or (isinstance(value, str) and ":" in value):
            return value
        return next((folder / value for folder in folders if (folder / value).exists()), value)

    def score(deployment: Any, input: Any, **options: Any) -> Result:
        if options.get("model"):
            options["model"] = find(options["model"])
        options.setdefault("warm", is_warm(os.environ, True))
        options.setdefault("output", tmp_path / FOLDER / f"job-{len(results) + 1}")
        result = batchtwin.score(find(deployment), find(input), **options)
        results.append(result)
        return result

    return score


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Add to the report of a failed test how its jobs ended."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    texts = [result.text() for result in item.stash.get(RESULTS, []) if result.failures or not result.ok]
    if texts and hasattr(report.longrepr, "addsection"):
        report.longrepr.addsection("batchtwin", "\n\n".join(texts), "-")
