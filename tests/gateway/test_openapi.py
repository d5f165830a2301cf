"""The description fits the routes: none is missing, none is invented, and each says which failures it can answer."""

import json

import pytest

from wallet_guard.gateway.codes import CODES
from wallet_guard.gateway.figures import Figures
from wallet_guard.gateway.openapi import OPERATIONS, SECURITY_SCHEMES, describe
from wallet_guard.gateway.routes import Desk

DOCUMENT = describe(OPERATIONS)


def test_the_process_serves_it_without_a_token(gateway):
    status, fields, content = gateway.ask("GET", "/openapi.json")
    assert (status, fields["Content-Type"]) == (200, "application/json")
    assert content == json.loads(json.dumps(DOCUMENT))


def test_it_is_made_of_the_route_table():
    routes = Desk(None, None, Figures(0)).routes()
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            assert routes.find(method.upper(), path.replace("{id}", "1")).handler is not None


def test_a_route_that_nobody_described_is_a_bug():
    with pytest.raises(KeyError):
        describe([*OPERATIONS, ("GET", "/new")])


def test_a_description_without_a_route_is_a_bug():
    with pytest.raises(AssertionError, match="health"):
        describe(each for each in OPERATIONS if each != ("GET", "/health"))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_only_what_tells_nothing_of_a_client_goes_without_a_token(method, path):
    security = DOCUMENT["paths"][path][method.lower()]["security"]
    assert security == ([{name: []} for name in SECURITY_SCHEMES] if path.startswith("/wallet/") else [])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_each_says_how_it_fails(method, path):
    operation = DOCUMENT["paths"][path][method.lower()]
    assert {"400", "422", "500"} <= operation["responses"].keys()
    for code in OPERATIONS[method, path].codes:
        assert f"`{code}`" in operation["responses"][str(CODES[code].status)]["description"]
    if method == "POST":
        assert {"413", "415"} <= operation["responses"].keys()


def test_names_of_operations_are_different():
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere():
    text = json.dumps(DOCUMENT)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in DOCUMENT["components"]["schemas"]


def test_every_code_can_come_from_somewhere():
    # What no route says: answers where there is no route, and where the gateway itself is not ready.
    told = {code for operation in OPERATIONS.values() for code in operation.codes}
    never = {"bad_request", "invalid_header", "not_found", "method_not_allowed", "internal", "deadline", "not_ready"}
    assert told | never == CODES.keys()
