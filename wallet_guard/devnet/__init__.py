"""An embedded Bittensor chain for development and tests: `wallet-guard devnet`, or `python -m wallet_guard.devnet`.

It is an emulator, not a node: one process, no consensus, no peers, no WebAssembly. It speaks Substrate JSON-RPC over
a WebSocket with the recorded metadata of runtime spec 461, well enough for the unmodified SDK 11 to connect, read,
plan and execute.

What it does as the real chain does it:

- checks of an extrinsic: signature (sr25519, ed25519; not over `<Bytes>`), genesis, spec and transaction version,
  mortal era with the hash of its birth block, nonce, metadata digest (RFC-0078, of the metadata that it serves), and
  the pallets' own checks before the pool, refused with a node's codes and words;
- the pool: one extrinsic per signer and nonce, never replaced; later nonces wait; `ready`, `future`, `inBlock`,
  `finalized`, `retracted`, `dropped`, `invalid`, `usurped` to those who watch;
- the calls of a hotkey: `set_weights`, `set_mechanism_weights`, `commit_timelocked_weights`,
  `commit_timelocked_mechanism_weights`, `serve_axon`, `serve_axon_tls`, `serve_prometheus`,
  `Commitments.set_commitment`, by the pallets' rules and with their errors and events;
- blocks by a timer, finality some blocks behind, the epoch schedule, and the state of old blocks (the last 4096);
- on demand: reorganisations, runtime upgrades, lies, and faults of the wire (see `faults`).

What it does not:

- consensus, emission, bonds, registration by burn or work: nobody earns anything, and uids change by `devnet_register`;
- drand: timelocked commits are kept as ciphertext until they expire, and `devnet_reveal` takes the plaintext on trust;
- fees (the calls above are free on the real chain too), balances beyond what genesis gives, other calls: they are
  included and fail with `System.CallFiltered`;
- Merkle roots and proofs; state of a fork that was left; metadata in version 14.

Modules, from the bytes up: `metadata`, `runtime` (codec and typed state), `history` (storage by block), `extrinsic`,
`refusals`, `subnets`, `guards`, `calls`, `pool`, `block`, `chain`, `genesis`, `views` (runtime calls), `rpc`, `node`
and `control` (methods), `faults`, `server`, and `__main__`, which alone reads the clock and the command line.
"""
