"""Text that Prometheus reads."""

import re

from wallet_guard.realtime.metrics import Metrics


def test_metrics_are_what_prometheus_reads():
    metrics = Metrics()
    metrics.received["prediction"] += 2
    metrics.verdicts["taken"] += 1
    for seconds in (0.00005, 0.003, 99.0):
        metrics.round_trip.observe(seconds)
    text = metrics.render({"connections": 3})
    assert re.fullmatch(r'(# TYPE \w+ (gauge|counter|histogram)\n|\w+(\{\w+="[^"]*"\})? [0-9.e+]+\n)+', text)
    assert 'btws_messages_received_total{type="prediction"} 2\n' in text
    assert 'btws_round_trip_seconds_bucket{le="0.005"} 2\n' in text
    assert 'btws_round_trip_seconds_bucket{le="+Inf"} 3\n' in text
