import pytest

from wallet_guard.devnet.__main__ import parse
from wallet_guard.devnet.genesis import DEFAULT_STAKE, Genesis, Validator

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


def test_has_defaults():
    options = parse([])
    assert (options.host, options.port, options.slot_milliseconds, options.finality_lag) == ("127.0.0.1", 9944, 1000, 2)
    assert options.mining
    assert options.genesis == Genesis()


def test_takes_options():
    given = ["--listen", "[::1]:0", "--block-time", "0.25", "--manual", "--validator", ALICE + ":5", "--tempo", "9"]
    options = parse([*given, "--validator", ALICE, "--rate-limit", "2:100", "--chain-id", "x"])
    assert (options.host, options.port, options.slot_milliseconds, options.mining) == ("::1", 0, 250, False)
    assert options.genesis == Genesis((Validator(ALICE, 5), Validator(ALICE, DEFAULT_STAKE)), "x", 9, ((2, 100),))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "9944"],
        ["--listen", "127.0.0.1:99999"],
        ["--block-time", "0"],
        ["--block-time", "never"],
        ["--validator", "5Nobody"],
        ["--validator", ALICE + ":much"],
        ["--rate-limit", "2"],
        ["--rate-limit", "99:1"],
        ["--tempo", "0"],
        ["--finality-lag", "-1"],
        ["--sudo"],
    ],
)
def test_refuses_mistakes_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert "expected" in (told := capsys.readouterr().err) or "unrecognized" in told
