"""The shape of a runtime: what decides the meaning of our bytes, and nothing else."""

import struct
from typing import Any

import pytest

from wallet_guard.devnet.metadata import with_calls_swapped, with_pallets_swapped, with_spec_version
from wallet_guard.signer import shape
from wallet_guard.signer.scale import CALL_NAMES
from wallet_guard.signer.shape import EXTRINSIC, ShapeError, differences, shape_of


@pytest.fixture(scope="module")
def found(metadata: bytes) -> shape.Shape:
    return shape_of(metadata)


def compact(value: int) -> bytes:
    return bytes((value << 2,)) if value < 64 else (value << 2 | 1).to_bytes(2, "little")


def text(value: str) -> bytes:
    return compact(len(value)) + value.encode()


def test_every_call_that_is_signed_has_a_part_and_all_differ(found: shape.Shape) -> None:
    assert found.keys() == {EXTRINSIC, *CALL_NAMES}
    assert len(set(found.values())) == len(found)
    assert all(len(bytes.fromhex(digest)) == 32 for digest in found.values())


def test_it_is_this_for_spec_461(found: shape.Shape) -> None:
    """Pinned: a change of how shapes are made would make every guard refuse its runtime."""
    assert found["set_weights"] == "290e5c93b7348a8ec663fac738fb99e7dbd0ed24e259e8928404cc4dcfe12792"
    assert found[EXTRINSIC] == "f9d8f77d27aff58b5dc90e35e3ec6724f6b926a8cd801a6ddbf5c81cda19aced"


def test_another_spec_version_is_the_same_shape(metadata: bytes, found: shape.Shape) -> None:
    for version in (462, 470, 2**31):
        changed = with_spec_version(metadata, version)
        assert changed != metadata
        assert shape_of(changed) == found


def test_documentation_does_not_matter(metadata: bytes, found: shape.Shape) -> None:
    words = b"The original caller"
    said = next(line for line in (b"weights", b"Sets the", b"netuid") if metadata.count(line) > 3)
    assert said
    at = metadata.index(b"# Arguments")
    changed = metadata[:at] + b"# Arguments".swapcase() + metadata[at + len(b"# Arguments") :]
    assert changed != metadata
    assert shape_of(changed) == found
    assert words


@pytest.mark.parametrize(
    ("swap", "changed"),
    [
        (("set_weights", "burned_register"), ["set_weights"]),
        (("serve_axon", "serve_prometheus"), ["serve_axon", "serve_prometheus"]),
        (("commit_timelocked_weights", "add_stake"), ["commit_timelocked_weights"]),
    ],
)
def test_a_call_that_moves_is_no_longer_the_one_we_know(
    metadata: bytes, found: shape.Shape, swap: tuple[str, str], changed: list[str]
) -> None:
    after = shape_of(with_calls_swapped(metadata, "SubtensorModule", *swap))
    assert differences(found, after) == changed
    assert {after[name] for name in changed} == {""}


def test_a_swap_of_calls_that_are_never_signed_does_not_matter(metadata: bytes, found: shape.Shape) -> None:
    assert shape_of(with_calls_swapped(metadata, "SubtensorModule", "add_stake", "remove_stake")) == found


def test_a_pallet_that_moves_changes_all_its_calls(metadata: bytes, found: shape.Shape) -> None:
    after = shape_of(with_pallets_swapped(metadata, "SubtensorModule", "Balances"))
    assert differences(found, after) == sorted(set(CALL_NAMES) - {"set_commitment"})


def test_an_argument_of_another_name_or_type_is_a_change(metadata: bytes, found: shape.Shape) -> None:
    # set_weights(netuid, dests, weights, version_key): another name of the same length.
    at = metadata.index(text("set_weights") + b"\x10")
    name = metadata.index(text("version_key"), at)
    assert name < at + 300
    renamed = metadata[:name] + text("versiom_key") + metadata[name + len(text("version_key")) :]
    assert differences(found, shape_of(renamed)) == ["set_weights"]
    # The type's number follows the name: u64 becomes whatever dests is.
    dests = metadata.index(text("dests"), at) + len(text("dests"))
    width = (1, 2, 4, 0)[metadata[dests] & 3]
    version = name + len(text("version_key"))
    assert (1, 2, 4, 0)[metadata[version] & 3] == 1
    if width == 1:
        retyped = metadata[:version] + metadata[dests : dests + 1] + metadata[version + 1 :]
    else:
        retyped = metadata[:version] + metadata[dests : dests + width] + metadata[version + 1 :]
    assert "set_weights" in differences(found, shape_of(retyped))


def test_a_signed_extension_that_changes_is_a_change_of_the_extrinsic(metadata: bytes, found: shape.Shape) -> None:
    at = metadata.rindex(text("CheckMortality"))
    renamed = metadata[:at] + text("CheckMortalitx") + metadata[at + len(text("CheckMortality")) :]
    assert differences(found, shape_of(renamed)) == [EXTRINSIC]


@pytest.mark.parametrize("cut", [0, 3, 5, 6, 1_000, 100_000, -200_000])
def test_metadata_that_ends_early_is_refused(metadata: bytes, cut: int) -> None:
    with pytest.raises(ShapeError):
        shape_of(metadata[:cut])


def test_another_version_of_metadata_is_refused(metadata: bytes) -> None:
    with pytest.raises(ShapeError, match="version 15, found 6d6574610e"):
        shape_of(b"meta\x0e" + metadata[5:])


def registry(*definitions: bytes) -> bytes:
    """Metadata of nothing but these types, and one pallet whose calls are type 0."""
    types = b"".join(compact(at) + b"\0\0" + definition + b"\0" for at, definition in enumerate(definitions))
    pallet = text("SubtensorModule") + b"\0" + b"\1" + compact(0) + b"\0" + b"\0" + b"\0" + b"\7" + b"\0"
    extrinsic = b"\4" + compact(1) * 4 + b"\0"
    return b"meta\x0f" + compact(len(definitions)) + types + compact(1) + pallet + extrinsic


def call(name: str, index: int, number: int) -> bytes:
    """A variant type with one call of one argument."""
    field = b"\1" + text("netuid") + compact(number) + b"\0\0"
    return b"\1" + compact(1) + text(name) + compact(1) + field + bytes((index,)) + b"\0"


def tuple_of(*numbers: int) -> bytes:
    return b"\4" + compact(len(numbers)) + b"".join(map(compact, numbers))


@pytest.mark.parametrize(
    "forged",
    [
        [call("set_weights", 0, 1), tuple_of(1)],
        [call("set_weights", 0, 1), tuple_of(1, 1)],
        [call("set_weights", 0, 1), *(tuple_of(at + 2, at + 2) for at in range(40)), b"\5\3"],
        [call("set_weights", 0, 99), b"\5\3"],
        [b"\5\3", b"\5\3"],
        [call("set_weights", 0, 1), b"\x08\0"],
        [b"\1" + struct.pack("<I", (2**30 - 1) << 2 | 2), b"\5\3"],
    ],
    ids=["holds itself", "holds itself twice", "doubles at each step", "no such type", "no calls", "no kind", "2^30"],
)
def test_a_forged_registry_ends_in_a_refusal_at_once(forged: list[Any]) -> None:
    with pytest.raises(ShapeError):
        shape_of(registry(*forged))


def test_a_small_registry_is_read() -> None:
    found = shape_of(registry(call("set_weights", 0, 1), b"\5\3"))
    # Not the arguments that we know.
    assert set(found.values()) - {found[EXTRINSIC]} == {""}
