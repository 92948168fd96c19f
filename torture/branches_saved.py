"""A plugin of pytest: a worker keeps what it ran before it reports its end, after which it may be killed.

A worker that has reported its end is given some seconds to go, which on a busy machine is not enough to write.
"""

import coverage


def pytest_sessionfinish() -> None:
    if running := coverage.Coverage.current():
        running.stop()
        running.save()
