"""The simulation of scaling: a small day, with the deployed policy in it."""

import pytest

from scripts.simulation.__main__ import replace_block
from scripts.simulation.fleet import Conditions
from scripts.simulation.report import write_table
from scripts.simulation.running import Outcome, compare
from scripts.simulation.workload import DAY, HOUR, Workload, make_jobs

WORKLOAD = Workload(days=1, transfers=150, singles_per_hour=2.0)
CONDITIONS = Conditions(minimum=1, maximum=8, hours_between_deaths=4.0)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in compare(WORKLOAD, CONDITIONS, seed=7)}


def test_every_transfer_is_done_although_workers_die(outcomes: dict[str, Outcome]) -> None:
    """Under every policy."""
    for outcome in outcomes.values():
        assert outcome.unfinished == 0, outcome.name
        assert outcome.deaths > 0, outcome.name
        assert outcome.transfers > WORKLOAD.transfers


def test_the_work_of_the_fleet_is_billed(outcomes: dict[str, Outcome]) -> None:
    """Nobody moves the bytes in fewer hours than they take, and the fixed fleet costs its whole day."""
    jobs = make_jobs(WORKLOAD, seed=7)
    least = sum(job.size for job in jobs) / (2 * CONDITIONS.rate) / HOUR
    assert all(outcome.task_hours > least for outcome in outcomes.values())
    assert outcomes["fixed fleet"].task_hours >= CONDITIONS.maximum * DAY / HOUR


def test_limits_hold(outcomes: dict[str, Outcome]) -> None:
    """At every moment of the day."""
    for outcome in outcomes.values():
        counts = {count for _, count in outcome.workers}
        assert min(counts) >= CONDITIONS.minimum
        assert max(counts) <= CONDITIONS.maximum


def test_ours_is_near_the_oracle_and_better_than_target_tracking(outcomes: dict[str, Outcome]) -> None:
    """p99 wait at most 1.2 times, cost at most 1.15 times the oracle's, where the limit binds."""
    ours, oracle, tracking = (outcomes[name] for name in ("pqtransfer", "oracle", "target tracking"))
    assert ours.p99_wait <= 1.2 * oracle.p99_wait
    assert ours.cost_usd <= 1.15 * oracle.cost_usd
    assert ours.p99_wait <= tracking.p99_wait
    assert ours.cost_usd <= tracking.cost_usd


def test_the_same_seed_is_the_same_month(outcomes: dict[str, Outcome]) -> None:
    """What stands in docs/scaling.md can be made again."""
    assert compare(WORKLOAD, CONDITIONS, seed=7) == list(outcomes.values())


def test_the_table_goes_between_its_marks(outcomes: dict[str, Outcome]) -> None:
    """And what stands around it is kept."""
    page = "a\n<!-- large: scripts/simulate_scaling --write -->\nold\n<!-- end of large -->\nb\n"
    table = write_table(list(outcomes.values()))
    assert replace_block(page, "large", table) == page.replace("old", table)
    assert "| oracle |" in table
