"""What a trial adds to pytest: which tests run, in what order, within how much CPU time, and what they did."""

import os
import resource
import sys
import threading
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

COSTLIER = 5  # so many times what it takes of sound code, and some CPU seconds more, may a test take


class Trial:
    """One run of tests. `watched` is a file whose functions are noted, by the test that enters them."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self.chosen: Sequence[str] | None = asked["chosen"]
        self.costs: Mapping[str, float] = asked["costs"]
        self.spare_cpu_s: float = asked["spare_cpu_s"]
        self.watched: str | None = asked.get("watched")
        self.failed, self.collected, self.is_broken, self.now = "", False, False, ""
        self.measured: defaultdict[str, float] = defaultdict(float)
        self.entered: defaultdict[str, set[str]] = defaultdict(set)  # also by file: what shared fixtures enter
        self.apart: set[str] = set()  # tests that start processes, in which nothing is seen
        self.seen = set[str]()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.chosen is not None:
            known = {item.nodeid: item for item in items}
            gone = [name for name in self.chosen if name not in known]
            if gone:
                self.failed = f"{gone[0]} (not there any more)"
            items[:] = [] if gone else [known[name] for name in self.chosen]
        for item in items:
            _hasten(item)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.is_broken |= report.failed

    def pytest_collection_finish(self) -> None:
        self.collected = not self.is_broken

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.now, self.seen = item.nodeid, self.entered[item.nodeid]
        if not self.watched:
            allowed = _cpu_seconds() + self.spare_cpu_s + COSTLIER * self.costs.get(item.nodeid, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (int(allowed) + 1, resource.RLIM_INFINITY))
        began = _cpu_seconds(with_children=True)
        self._trace(self.enter if self.watched else None)
        try:
            return (yield)
        finally:
            self._trace(None)
            self.measured[item.nodeid] += _cpu_seconds(with_children=True) - began

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, object, object]:
        """What a shared fixture runs counts for every test of its file."""
        before = self.seen
        if fixturedef.scope != "function":
            self.seen = self.entered[self.now.partition("::")[0]]
        try:
            return (yield)
        finally:
            self.seen = before

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid if report.when == "call" else f"{report.nodeid} ({report.when})"

    def audit(self, event: str, _: tuple[Any, ...]) -> None:
        if event in {"subprocess.Popen", "os.fork", "os.posix_spawn"}:
            self.apart.add(self.now)

    def enter(self, frame: FrameType, *_: Any) -> None:
        if frame.f_code.co_filename == self.watched:
            self.seen.add(frame.f_code.co_qualname.partition(".<locals>")[0])

    @staticmethod
    def _trace(function: Any) -> None:
        sys.settrace(function)
        threading.settrace(function)


def _hasten(item: pytest.Item) -> None:
    """The same examples each time, not made smaller where one fails, no limit by the clock, nothing kept."""
    function: Any = getattr(item, "obj", None)
    function = getattr(function, "__func__", function)
    chosen = getattr(function, "_hypothesis_internal_use_settings", None)
    if chosen is not None:  # the settings of a test that is made have no other name
        function._hypothesis_internal_use_settings = settings(
            chosen,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.filter_too_much,
                HealthCheck.function_scoped_fixture,
            ],
        )


def _cpu_seconds(*, with_children: bool = False) -> float:
    spent = os.times()
    return sum(spent[: 4 if with_children else 2])
