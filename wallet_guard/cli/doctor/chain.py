"""The chain as we see it ourselves, beside what the signer was told, and what it thinks of our hotkeys."""

from collections.abc import Iterator

from wallet_guard.cli.doctor.files import config_of
from wallet_guard.cli.doctor.findings import Check, Finding, SkippedError, note, warning
from wallet_guard.cli.doctor.scene import ChainSight, Neuron, Scene

MAX_SKEW_SECONDS = 30.0
"""A block's time is its author's clock at its making, at most a block and its way old at its head: 12 s and some."""

MAX_LAG_BLOCKS = 10
"""Two minutes: endpoints differ by a block or two."""

RAO = 10**9


def _chain(scene: Scene) -> ChainSight:
    if scene.chain is None:
        raise SkippedError("the chain was not seen")
    return scene.chain


def reachable(scene: Scene) -> Iterator[Finding]:
    """From here; where a firewall lets the chain process alone out, its word counts."""
    if not scene.chain_error:
        return
    health = scene.status.health if scene.status else None
    if health and health.chain_seconds is not None and not health.chain_trouble:
        raise SkippedError(f"not from here ({scene.chain_error[:80]}); the chain process reaches it")
    yield Finding(f"the chain cannot be reached: {scene.chain_error}", "look at [chain] endpoints and the firewall")


def genesis(scene: Scene) -> Iterator[Finding]:
    """Is it the chain that the signer signs for?"""
    chain, config = _chain(scene), config_of(scene)
    pinned = config.chain.genesis or (scene.status.genesis_hash if scene.status else None) or ""
    if pinned and pinned != chain.genesis:
        yield Finding(
            f"{chain.endpoint} has genesis {chain.genesis[:18]}…, expected {pinned[:18]}…: another chain",
            f"mend [chain] endpoints or genesis in {config.path}",
        )


def clock(scene: Scene) -> Iterator[Finding]:
    """This host's clock beside the time of the newest block."""
    chain, config = _chain(scene), config_of(scene)
    skew = (scene.now_ms - chain.time_ms) / 1000
    limit = MAX_SKEW_SECONDS + 2 * config.chain.block_time_seconds
    if abs(skew) > limit:
        which = "ahead of" if skew > 0 else "behind"
        yield Finding(
            f"this host's clock is {abs(skew):.0f} s {which} the newest block (block {chain.best_block})",
            "timedatectl set-ntp true; if the clock is right, the endpoint is stale: name another",
        )


def lag(scene: Scene) -> Iterator[Finding]:
    """Is the chain process where the chain is?"""
    chain, status = _chain(scene), scene.status
    if status is None or status.best_block is None:
        raise SkippedError("the chain process does not say where it is")
    if abs(chain.best_block - status.best_block) > MAX_LAG_BLOCKS:
        yield warning(
            f"the chain process is at block {status.best_block}, {chain.endpoint} at {chain.best_block}",
            "systemctl restart wallet-guard-chain, or name another endpoint",
        )


def _neurons(scene: Scene) -> tuple[Neuron, ...]:
    found = _chain(scene).neurons
    if not found:
        raise SkippedError("no client names a subnet: 'client add --netuid N' does")
    return found


def subnets(scene: Scene) -> Iterator[Finding]:
    """A client for a subnet that is not there."""
    for netuid in sorted({each.netuid for each in _neurons(scene) if not each.subnet_exists}):
        yield Finding(f"subnet {netuid} does not exist on this chain", "give the client the right --netuid")


def registration(scene: Scene) -> Iterator[Finding]:
    """An unregistered hotkey can set nothing."""
    for each in _neurons(scene):
        if each.subnet_exists and each.uid is None:
            yield Finding(
                f"hotkey {each.key} is not registered on subnet {each.netuid}",
                f"btcli subnets register --netuid {each.netuid} (with the coldkey, elsewhere)",
            )


def permit(scene: Scene) -> Iterator[Finding]:
    """Without a validator permit weights are refused (but for one's own uid)."""
    for each in _neurons(scene):
        if each.uid is not None and not each.permit:
            yield warning(
                f"hotkey {each.key} (uid {each.uid}) has no validator permit on subnet {each.netuid}",
                "more stake than others there; a miner needs none",
            )


def stake(scene: Scene) -> Iterator[Finding]:
    """Weights want a least stake (StakeThreshold)."""
    wanted = _chain(scene).stake_threshold_rao
    for each in _neurons(scene):
        if each.uid is not None and each.stake_rao < wanted:
            yield warning(
                f"hotkey {each.key} has a stake of {each.stake_rao / RAO:.1f} on subnet {each.netuid}, weights want "
                f"{wanted / RAO:.0f} (what child keys bring is not counted here)",
                "stake more to it (with the coldkey, elsewhere)",
            )


def rate_limit(scene: Scene) -> Iterator[Finding]:
    """When may weights be set next?"""
    chain = _chain(scene)
    for each in _neurons(scene):
        left = each.last_update + each.rate_limit - chain.best_block
        if each.uid is not None and each.last_update and left > 0:
            yield note(
                f"hotkey {each.key} set weights on subnet {each.netuid} at block {each.last_update}: "
                f"rate limited for {left} more blocks",
                "ask with queue=true, or every " + f"{each.rate_limit} blocks",
            )


CHECKS = (
    Check("chain-reachable", reachable),
    Check("chain-genesis", genesis),
    Check("clock-skew", clock),
    Check("chain-lag", lag),
    Check("subnets", subnets),
    Check("registration", registration),
    Check("validator-permit", permit),
    Check("stake", stake),
    Check("rate-limits", rate_limit),
)
