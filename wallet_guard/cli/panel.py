"""What ``status`` says and ``top`` shows: one guard in lines, each with its word in front. Pure."""

import time
from collections.abc import Iterator

from wallet_guard.cli.intents import line
from wallet_guard.host.config import Config
from wallet_guard.ipc.admin import StatusView
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.oversight import ClientUse, Lane, OverviewView, Refused

SILENT_SECONDS = 30
"""The chain process speaks every 10."""

_ESCAPES = dict.fromkeys((*range(32), *range(127, 160), 8232, 8233), "?")


def troubles(found: StatusView) -> list[str]:
    """What stands in the way of signing and sending; [] while all is well."""
    health = found.health
    said = [health.journal_error] if health.journal_error else []
    said += [f"LOCKED, nothing is signed: {health.locked}"] if health.locked else []
    said += [f"LOCKED {locked.wallet}/{locked.hotkey}: {locked.why}" for locked in found.locked_keys]
    said += [found.runtime_trouble] if found.runtime_trouble else []
    said += [f"the policy stays as it was: {found.policy.error}"] if found.policy.error else []
    return [*said, *([_chain_trouble(found)] if _chain_trouble(found) else [])]


def _chain_trouble(found: StatusView) -> str:
    health = found.health
    silent = health.chain_seconds is None or health.chain_seconds > SILENT_SECONDS
    return health.chain_trouble or ("the chain process is silent" if silent else "")


def lines(found: OverviewView, config: Config, now_ms: int, hub: str = "") -> list[str]:
    """Everything, the most pressing first. ``hub`` is what the hub says of its peers, "" for no hub."""
    return [each.translate(_ESCAPES) for each in _lines(found, config, now_ms, hub)]


def _lines(found: OverviewView, config: Config, now_ms: int, hub: str) -> Iterator[str]:
    status = found.status
    yield from _signer(status)
    yield f"clients   {config.client_socket}{''.join(', http://' + address for address in config.gateway.tcp)}"
    yield "peers     " + (", ".join(f"{name} {count}" for name, count in found.peers) or "none")
    if hub:
        yield f"hub       {hub}"
    yield from (f"key       {key.wallet}/{key.hotkey} {key.ss58_address} {key.crypto}" for key in status.keys)
    yield from (f"lane      {_lane(lane)}" for lane in found.lanes)
    uses = {use.name: use for use in found.clients}
    yield from (f"client    {_client(client, uses.get(client.name), now_ms)}" for client in status.clients)
    yield from (f"refused   {_refused(refused)}" for refused in found.refusals)
    yield from (f"intent    {line(intent)}" for intent in status.intents)


def _signer(status: StatusView) -> Iterator[str]:
    health = status.health
    generation = f", generation {status.generation}" if status.generation > 1 else ""
    yield f"signer    version {health.version}, {health.open_intents} open intents, audit record {status.audit_seq}" + (
        generation
    )
    yield f"journal   {health.journal_error or 'ok'}"
    if health.locked:
        yield f"LOCKED    nothing is signed: {health.locked}"
    yield from (f"LOCKED    {locked.wallet}/{locked.hotkey}: {locked.why}" for locked in status.locked_keys)
    if status.runtime_trouble:
        yield f"RUNTIME   {status.runtime_trouble}"
    yield f"chain     {_chain_trouble(status) or _head(status)}"
    policy = status.policy
    sha256 = f", sha256 {policy.sha256[:12]}…" if policy.sha256 else ""
    yield f"policy    {policy.path or 'none: the grants alone decide'}{sha256}"
    if policy.error:
        yield f"POLICY    stays as it was: {policy.error}"
    yield f"genesis   {status.genesis_hash or 'not known yet: pinned at first contact'}"


def _refused(refused: Refused) -> str:
    return f"{_clock(refused.at_ms)} {refused.client or 'the hub'}: {refused.call}: {refused.code}"


def _head(status: StatusView) -> str:
    runtime = f", runtime {status.health.runtime}" if status.health.runtime is not None else ""
    return f"{status.endpoint} at block {status.best_block}, final {status.finalized_block}{runtime}"


def _lane(lane: Lane) -> str:
    flying = f"nonces {', '.join(map(str, lane.nonces))} under way" if lane.nonces else "no nonce under way"
    states = ", ".join(f"{count} {state}" for state, count in lane.states) or "nothing to do"
    return f"{lane.wallet}/{lane.hotkey} from nonce {lane.next_nonce}: {flying}; {states}"


def _client(client: ClientView, use: ClientUse | None, now_ms: int) -> str:
    if client.revoked_ms is not None:
        return f"{client.name} (revoked)"
    where = "any subnet" if client.netuids is None else "subnet " + ", ".join(map(str, client.netuids))
    said = f"{client.name} {client.wallet}/{client.hotkey} {where}"
    if use is None:
        return said
    said += f", {use.accepted} of {use.per_hour} this hour, {use.open} open"
    said += f", {use.refused} refused this minute" if use.refused else ""
    return said + (f", last {_ago(now_ms - use.last_ms)}" if use.last_ms is not None else ", never asked")


def _ago(passed_ms: int) -> str:
    seconds = max(0, passed_ms // 1000)
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name} ago"
    return f"{seconds} s ago"


def _clock(unix_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_ms / 1000))
