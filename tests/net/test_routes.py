from wallet_guard.net.exchange import Response
from wallet_guard.net.routes import Found, Routes


def answer(name: str):
    return lambda _request: Response(200, name.encode())


A, B, C, D = (answer(name) for name in "abcd")
ROUTES = Routes([("GET", "/a", A), ("POST", "/a", B), ("GET", "/jobs/{id}", C), ("POST", "/{x}/{y}/end", D)])


def test_an_exact_path_is_found() -> None:
    assert ROUTES.find("GET", "/a") == Found(A)
    assert ROUTES.find("POST", "/a") == Found(B)


def test_a_pattern_gives_its_parameters() -> None:
    assert ROUTES.find("GET", "/jobs/12") == Found(C, ("12",))
    assert ROUTES.find("POST", "/1/2/end") == Found(D, ("1", "2"))


def test_a_parameter_is_one_segment_that_is_not_empty() -> None:
    for path in ("/jobs/", "/jobs", "/jobs/1/2", "/1/2/start"):
        assert ROUTES.find("GET", path).handler is None


def test_another_method_tells_what_is_allowed() -> None:
    assert ROUTES.find("PUT", "/a") == Found(None, (), ("GET", "POST"))
    assert ROUTES.find("PUT", "/jobs/1") == Found(None, (), ("GET",))
    assert ROUTES.find("PUT", "/b") == Found(None)


def test_head_is_answered_by_get() -> None:
    assert ROUTES.find("HEAD", "/a") == Found(A)
    assert ROUTES.find("HEAD", "/jobs/1") == Found(C, ("1",))
    assert ROUTES.find("HEAD", "/1/2/end") == Found(None, (), ("POST",))


def test_the_first_of_two_rows_counts() -> None:
    assert Routes([("GET", "/a", A), ("GET", "/a", B)]).find("GET", "/a") == Found(A)
