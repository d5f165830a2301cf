"""Figures: bounded where they are made, and spelled as Prometheus reads them."""

import shutil
import subprocess

import pytest

from wallet_guard.ipc.metrics import (
    MAX_WORDS,
    Family,
    Histogram,
    Kind,
    MetricsView,
    Sample,
    Tally,
    about_process,
    counter,
    gauge,
    histogram,
    one,
    render,
    total,
)
from wallet_guard.ipc.records import from_json, to_json


def tallied(*words: str) -> Tally:
    tally = Tally("code")
    for word in words:
        tally.count(word)
    return tally


def test_counts_are_kept_by_label():
    samples = tallied("b", "a", "b").samples()
    assert samples == (Sample((("code", "a"),), 1.0), Sample((("code", "b"),), 2.0))


def test_nothing_makes_series_without_end():
    tally = tallied(*(str(number) for number in range(1000)))
    samples = {sample.labels[0][1]: sample.value for sample in tally.samples()}
    assert len(samples) == MAX_WORDS + 1
    assert samples["other"] == 1000 - MAX_WORDS


def test_a_series_can_be_there_before_it_counts():
    tally = Tally("code")
    tally.count("never", times=0)
    assert tally.samples() == (Sample((("code", "never"),), 0.0),)


def test_buckets_are_cumulative_and_the_last_one_holds_all():
    seconds = Histogram()
    for value in (0.0001, 0.003, 99.0):
        seconds.observe(value)
    samples = {(each.suffix, dict(each.labels).get("le")): each.value for each in seconds.samples()}
    assert samples["_bucket", "0.0005"] == 1
    assert samples["_bucket", "0.005"] == 2
    assert samples["_bucket", "10"] == 2
    assert samples["_bucket", "+Inf"] == samples["_count", None] == 3
    assert samples["_sum", None] == pytest.approx(99.0031)


def test_text_is_as_prometheus_spells_it():
    family = Family("a_total", Kind.COUNTER, "What\nit \\is.", (Sample((("x", 'q"\\\n'),), 1234567.0),))
    assert render([family, one("b", "B.", 0.25)]) == (
        "# HELP a_total What\\nit \\\\is.\n# TYPE a_total counter\n"
        'a_total{x="q\\"\\\\\\n"} 1234567\n# HELP b B.\n# TYPE b gauge\nb 0.25\n'
    )


def test_families_of_one_name_are_told_once():
    text = render([*about_process("signer", "1", 1000, 5), *about_process("chain", "1", 1000, 5)])
    assert text.count("# TYPE wallet_guard_build_info gauge") == 1
    assert text.count("wallet_guard_build_info{") == 2


ALL = (
    counter("a_total", "A.", tallied("x")),
    gauge("b", "B.", {(("l", "x"),): 1.5}),
    histogram("c_seconds", "C.", "question", {"accept": Histogram()}),
    one("d", "D.", True),
    total("e_total", "E.", 3),
)


def test_they_survive_the_way_between_processes():
    view = MetricsView(ALL)
    assert from_json(MetricsView, to_json(view)) == view


@pytest.mark.skipif(shutil.which("promtool") is None, reason="LOUD: no promtool on this machine")
def test_promtool_reads_the_text():
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=render(ALL), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
