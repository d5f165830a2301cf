"""What the gateway counts."""

from wallet_guard.gateway.codes import CODES
from wallet_guard.gateway.figures import Figures


def values(figures, name):
    """The samples of a family by the values of their labels."""
    (family,) = (each for each in figures.families() if each.name == name)
    return {tuple(value for _, value in sample.labels): sample.value for sample in family.samples if not sample.suffix}


def test_requests_count_by_route_and_status():
    figures = Figures(0)
    for status in (200, 200, 404):
        figures.answered("GET", "/wallet/info", status, "", 0.1)
    found = values(figures, "wallet_guard_http_requests_total")
    assert found == {("GET", "/wallet/info", "200"): 2, ("GET", "/wallet/info", "404"): 1}


def test_a_client_that_left_counts_as_such():
    figures = Figures(0)
    figures.left("POST", "/wallet/set_weights")
    assert values(figures, "wallet_guard_http_requests_total") == {("POST", "/wallet/set_weights", "left"): 1}


def test_every_code_is_there_before_it_happens():
    assert values(Figures(0), "wallet_guard_http_errors_total") == {(code,): 0 for code in CODES}


def test_failures_count_by_code_and_codes_of_later_versions_as_other():
    figures = Figures(0)
    figures.answered("GET", "/wallet/info", 401, "unauthorized", 0.1)
    figures.answered("GET", "/wallet/info", 502, "of tomorrow", 0.1)
    figures.unrouted(404, "not_found")
    found = values(figures, "wallet_guard_http_errors_total")
    assert (found["unauthorized",], found["not_found",], found["other",]) == (1, 1, 1)
