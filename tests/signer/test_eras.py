from wallet_guard.signer.eras import MAX_ERA_BLOCKS, life_ms


def test_a_signature_lives_for_its_era_and_a_margin() -> None:
    assert life_ms(16, 12_000) == 16 * 12_000 + 60_000
    assert life_ms(MAX_ERA_BLOCKS, 250.5) == 32_064 + 60_000
