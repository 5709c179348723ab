import importlib.util

import pytest

from radlet.core.errors import ConfigError, UnknownNameError
from radlet.stages.build import BuildConfig
from radlet.stages.executors import EXECUTORS, ExecutorSettings, run_tasks
from radlet.stages.ingest import IngestConfig


def never(task, poisoned):
    raise AssertionError


@pytest.mark.parametrize("cls", [IngestConfig, BuildConfig])
def test_who_does_the_work_does_not_tell_runs_apart(cls):
    assert set(ExecutorSettings.model_fields) <= cls.without_effect


def test_a_wrong_name_is_answered_with_the_list():
    with pytest.raises(UnknownNameError, match="Did you mean 'local'"):
        ExecutorSettings(executor="locl")


@pytest.mark.parametrize("name", sorted(EXECUTORS))
def test_no_tasks_are_done_at_once(name):
    run_tasks(never, [], ExecutorSettings(executor=name), 1.0, lambda number: None)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_the_extra_it_is_named():
    with pytest.raises(ConfigError, match=r'pip install "radlet\[ray\]"'):
        run_tasks(never, [1], ExecutorSettings(executor="ray"), 1.0, lambda number: None)
