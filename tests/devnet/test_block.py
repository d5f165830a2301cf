from hashlib import blake2b

from wallet_guard.devnet import block


def test_the_hash_is_that_of_the_scale_header(runtime):
    parent = block.make(None, block.ZERO_HASH, (), (), 0, runtime)
    made = block.make(parent, "0x" + "22" * 32, [block.pre_runtime_log(5)], [b"\x01"], 9, runtime)
    log = bytes([6]) + b"aura" + bytes([8 << 2]) + (5).to_bytes(8, "little")
    extrinsics = blake2b(b"\x01", digest_size=32).digest()
    header = bytes.fromhex(parent.hash[2:]) + bytes([1 << 2]) + b"\x22" * 32 + extrinsics + bytes([1 << 2]) + log
    assert made.hash == "0x" + blake2b(header, digest_size=32).hexdigest()
    assert made.header()["number"] == "0x1"
    assert made.header()["digest"] == {"logs": ["0x" + log.hex()]}


def test_the_state_root_tells_writes_from_removals_and_their_order_does_not_matter():
    root = block.changes_root(block.ZERO_HASH, {b"a": b"1", b"b": None})
    assert block.changes_root(block.ZERO_HASH, {b"b": None, b"a": b"1"}) == root
    assert block.changes_root(block.ZERO_HASH, {b"a": b"1", b"b": b""}) != root
    assert block.changes_root(root, {b"a": b"1", b"b": None}) != root


def test_digest_items_differ_by_fork():
    assert block.other_log(b"\1") != block.other_log(b"\2")
