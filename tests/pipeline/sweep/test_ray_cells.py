"""A sweep over a cluster of two nodes on this machine."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.sweep.ray_cells import Job, make_cell


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of two nodes with one core each, on the loopback interface."""
    with pytest.MonkeyPatch.context() as environment:
        # Ray's own name for a switch that keeps it to the loopback interface, on any system; read when it is imported.
        environment.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
        nodes = two_nodes()
        yield nodes.address
        nodes.shutdown()


def two_nodes() -> Any:
    """A running Ray cluster of two nodes."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node)
    return nodes


def test_cells_run_as_tasks_in_one_home(swept, pipeline, cluster: str) -> None:
    words = ("--axis", "distill.batch=1,4", "--seeds", "2", "--name", "there", "--json", "--ray", cluster)
    done = pipeline("sweep", swept.home, *words, distill__method="none", bench__baseline="false")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    errors = {record["cell"]: record["error"] for record in found["records"]}
    assert [cell for cell, error in errors.items() if error is None] == ["batch=4-seed0", "batch=4-seed1"]
    assert "at least 2 images" in errors["batch=1-seed0"]
    assert found["lines"][1]["miou"]["n"] == 2
    assert "batch=4-seed1: distill: " in done.stderr
    assert (swept.home / "sweeps" / "there" / "cells" / "batch=4-seed0.json").is_file()
    again = pipeline("sweep", swept.home, *words[:-2], distill__method="none", bench__baseline="false")
    assert json.loads(again.stdout)["lines"] == found["lines"]


def test_an_address_without_a_cluster(swept, pipeline) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    done = pipeline("sweep", swept.home, "--seeds", "2", "--name", "nowhere", "--ray", "127.0.0.1:1")
    assert done.returncode == 2 and "error: --ray 127.0.0.1:1: " in done.stderr, done.stderr


def test_a_task_that_sees_another_home_or_other_code_makes_nothing(swept, tmp_path) -> None:
    job = Job("c", "quickstart", "x.c", (), "distill", "cpu", str(tmp_path), str(tmp_path / "absent"), None)
    assert "put --home on a file system that all machines share" in (make_cell(job) or "")
    (tmp_path / "there").touch()
    job = Job("c", "quickstart", "x.c", (), "distill", "cpu", str(tmp_path), str(tmp_path / "there"), "0" * 64)
    assert "install the same version of the code" in (make_cell(job) or "")
    assert not (tmp_path / "store").exists()
