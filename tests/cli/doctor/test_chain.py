from dataclasses import replace


def test_a_firewall_that_lets_only_the_chain_process_out_is_no_fault(guard):
    guard.scene_values.update(chain=None, chain_error="wss://a: connection refused")
    (result,) = [each for each in guard.results() if each.check == "chain-reachable"]
    assert result.skipped.startswith("not from here")


def test_block_time_widens_what_counts_as_skew(guard):
    guard.chain = replace(guard.chain, time_ms=guard.scene().now_ms - 50_000)
    assert guard.findings("clock-skew") == []


def test_unregistered_is_told_once_not_as_missing_permit_and_stake(guard):
    guard.neuron = replace(guard.neuron, uid=None, permit=False, stake_rao=0)
    assert [finding.found for finding in guard.findings()] == ["hotkey validator/default is not registered on subnet 2"]


def test_the_genesis_of_first_contact_counts_where_none_is_configured(guard):
    guard.edit('genesis = "0x' + "2f" * 32 + '"', "")
    guard.edit('"finney"', '"test"')
    assert guard.findings("chain-genesis") == []
    guard.chain = replace(guard.chain, genesis="0x" + "ab" * 32)
    assert len(guard.findings("chain-genesis")) == 1
