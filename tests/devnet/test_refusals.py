import json

import pytest

from wallet_guard.devnet import refusals


def test_the_shapes_are_a_nodes():
    assert refusals.invalid_transaction("Stale").record() == {
        "code": 1010,
        "message": "Invalid Transaction",
        "data": "Transaction is outdated",
    }
    assert refusals.custom_error("SettingWeightsTooFast").record()["data"] == "Custom error: 6"
    assert refusals.already_imported("0xab").record() == {
        "code": 1013,
        "message": "Transaction Already Imported",
        "data": "0xab",
    }
    assert refusals.too_low_priority().record()["message"] == "Priority is too low: (1 vs 1)"


def test_any_other_error_is_a_bad_request():
    assert refusals.custom_error("InvalidIpType").data == "Custom error: 255"


def test_an_error_without_data_has_none_in_its_record():
    assert refusals.bad_format("x").record() == {"code": 1001, "message": "Extrinsic has invalid format: x"}


def test_every_mapped_error_exists(runtime):
    for name in refusals.CUSTOM_ERRORS:
        assert runtime.module_error("SubtensorModule", name)


@pytest.mark.parametrize("reason", ["Call", "Payment", "Future", "Stale", "BadProof", "AncientBirthBlock"])
def test_every_reason_has_a_text(reason):
    assert json.dumps(refusals.invalid_transaction(reason).record())
