import pytest

from wallet_guard.devnet.extrinsic import decode
from wallet_guard.devnet.pool import Pending, Pool
from wallet_guard.devnet.refusals import RpcError


@pytest.fixture
def pending(runtime, signer):
    def make(nonce: int, uri: str = "//Alice", tag: object = None) -> Pending:
        return Pending(decode(runtime, signer(uri).weights(nonce=nonce)), tag, 99, 461)

    return make


def nonces(_signer: str) -> int:
    return 0


def refused(pool: Pool, pending: Pending) -> int:
    with pytest.raises(RpcError) as caught:
        pool.add(pending)
    return caught.value.code


def test_keeps_the_order_of_arrival_but_each_signers_nonces_in_theirs(pending):
    pool = Pool()
    a1, b0, a0, a3 = pending(1), pending(0, "//Bob"), pending(0), pending(3)
    for each in (a1, b0, a0, a3):
        pool.add(each)
    assert pool.ready(nonces) == [a0, a1, b0]


def test_a_nonce_behind_a_gap_is_not_ready_until_the_gap_closes(pending):
    pool = Pool()
    pool.add(pending(1))
    assert not pool.is_ready(pending(1).signed, nonces)
    pool.add(pending(0))
    assert pool.is_ready(pending(1).signed, nonces)


def test_next_nonce_counts_what_is_ready_only(pending):
    pool = Pool()
    pool.add(pending(0))
    pool.add(pending(2))
    assert pool.next_nonce(pending(0).signed.signer, nonces) == 1


def test_refuses_the_same_extrinsic_twice(pending):
    pool, one = Pool(), pending(0)
    pool.add(one)
    assert refused(pool, one) == 1013


def test_refuses_another_extrinsic_in_the_same_place(pending):
    pool = Pool()
    pool.add(pending(0))
    assert refused(pool, pending(0)) == 1014  # signatures are randomised: not the same bytes


def test_refuses_a_tag_that_is_taken_until_it_is_free(pending):
    pool, first = Pool(), pending(0, tag="commit")
    pool.add(first)
    assert refused(pool, pending(1, tag="commit")) == 1014
    pool.remove(first.signed.hash)
    pool.add(pending(1, tag="commit"))
    assert len(pool) == 1


def test_removing_what_is_not_there_gives_none():
    assert Pool().remove("0x00") is None
