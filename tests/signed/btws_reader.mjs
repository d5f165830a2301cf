// A second reader of btws/1, written from hardening/btws.md alone: node btws_reader.mjs vectors.json
// Node verifies Ed25519; what needs sr25519 is counted as skipped (npm's @polkadot/util-crypto would do, but this needs nothing).
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const vectors = JSON.parse(readFileSync(process.argv[2], "utf8"));
class Refused extends Error {}
class NeedsSr25519 extends Error {}
const refuse = (code) => { throw new Refused(code); };

// section 2: keys
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
function keyOf(address) {
  let number = 0n;
  for (const digit of address) {
    const value = ALPHABET.indexOf(digit);
    if (value < 0) return null;
    number = number * 58n + BigInt(value);
  }
  const bytes = Buffer.from(number.toString(16).padStart(70, "0"), "hex");
  const sum = createHash("blake2b512").update("SS58PRE").update(bytes.subarray(0, 33)).digest();
  if (bytes.length !== 35 || bytes[0] !== 0x2a || !sum.subarray(0, 2).equals(bytes.subarray(33))) return null;
  return bytes.subarray(1, 33);
}
function signedBy(scheme, key, message, signature) {
  if (scheme === "sr25519") throw new NeedsSr25519();
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key]);
  return verify(null, message, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
}
const LINES = [
  /^wallet-guard session\/1$/, /^speaker (\w+)$/, /^scheme (sr25519|ed25519)$/, /^key ([0-9a-f]{64})$/,
  /^purpose (node|hub)$/, /^netuid (\*|0|[1-9]\d{0,3})$/, /^receiver (\*|\w+)$/,
  /^from (0|[1-9]\d{0,14})$/, /^until (0|[1-9]\d{0,14})$/, /^serial ([0-9a-f]{32})$/,
];
function readCertificate(text, now, hotkey) {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length < 65 || bytes.toString("base64url") !== text) refuse("malformed");
  const body = bytes.subarray(0, -64);
  const lines = body.toString("latin1").split("\n");
  if (lines.length !== LINES.length) refuse("malformed");
  const [, speaker, scheme, key, purpose, netuid, receiver, from, until] = lines.map((line, at) => {
    const found = LINES[at].exec(line);
    if (!found) refuse("malformed");
    return found[1];
  });
  if (!keyOf(speaker) || (receiver !== "*" && !keyOf(receiver)) || Number(netuid) > 4095) refuse("malformed");
  const lifetime = Number(until) - Number(from);
  if (lifetime <= 0 || lifetime > (purpose === "hub" ? 3600000 : 86400000)) refuse("lifetime");
  if (speaker !== hotkey) refuse("wrong_speaker");
  if (now >= Number(until)) refuse("expired");
  if (now < Number(from) - 10000) refuse("not_yet_valid");
  if (netuid !== "*" && Number(netuid) !== vectors.netuid) refuse("wrong_netuid");
  if (receiver !== "*" && receiver !== vectors.receiver) refuse("wrong_receiver");
  if (!signedBy(scheme, keyOf(speaker), body, bytes.subarray(-64))) refuse("bad_signature");
  return [key, { scheme: "ed25519", key: Buffer.from(key, "hex"), until: Number(until), purpose }];
}

// section 3: the frame
const ADDRESS = "[1-9A-HJ-NP-Za-km-z]{46,50}";
const FRAME = new RegExp(
  '^([0-9a-f]{128})\\n<Bytes>\\{"v":"btws/1","speaker":"([0-9a-z]{1,64})","seq":([1-9][0-9]{0,15}),"ts":([1-9][0-9]{0,15}),' +
  `"from":"(${ADDRESS})","to":"(\\*|${ADDRESS})"\\}\\n((?:[^]*)\\})</Bytes>$`, "u");
const MESSAGE = /^\{"type":"([a-z][a-z0-9_]{0,31})","id":"([0-9A-Za-z._-]{0,64})"(,"ack":true)?,"data":(\{.*)\}$/su;

// JSON as section 3 wants it; JSON.parse alone would take a name twice, and 1e999
function checkJson(text) {
  let at = 0;
  const space = () => { while (" \t\n\r".includes(text[at]) && at < text.length) at++; };
  const string = () => {
    const found = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
    found.lastIndex = at;
    const match = found.exec(text) ?? refuse("message");
    at = found.lastIndex;
    const value = JSON.parse(match[0]);
    return value.isWellFormed() ? value : refuse("message");
  };
  const items = (close, item) => {
    at++; space();
    if (text[at] === close) { at++; return; }
    for (;;) {
      item(); space();
      if (text[at] === close) { at++; return; }
      if (text[at++] !== ",") refuse("message");
      space();
    }
  };
  const value = (level) => {
    if (level > 64) refuse("message");
    if (text[at] === "{") {
      const names = new Set();
      items("}", () => {
        const name = string();
        if (names.has(name)) refuse("message");
        names.add(name); space();
        if (text[at++] !== ":") refuse("message");
        space(); value(level + 1);
      });
    } else if (text[at] === "[") items("]", () => value(level + 1));
    else if (text[at] === '"') string();
    else {
      const found = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;
      found.lastIndex = at;
      const match = found.exec(text) ?? refuse("message");
      at = found.lastIndex;
      if (/\d/.test(match[0]) && !Number.isFinite(Number(match[0]))) refuse("message");
    }
  };
  // the first level is the object of `data` itself; what lies in it counts from there
  value(1);
  if (at !== text.length) refuse("message");
}

// section 4: receiving
function receive(text, state) {
  const size = Buffer.byteLength(text);
  if (size > (state.maxFrameBytes ?? 1048576)) refuse("size");
  const found = FRAME.exec(text) ?? refuse("shape");
  const [, signature, speaker, seqText, tsText, from, to, body] = found;
  const [seq, ts] = [Number(seqText), Number(tsText)];
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(ts)) refuse("shape");
  const messages = body.split("\n");
  if (messages.length > 64) refuse("size");
  if (to !== vectors.receiver && !(to === "*" && state.broadcasts)) refuse("receiver");
  if (from !== state.hotkey) refuse("sender");
  const voice = state.voices.get(speaker) ?? refuse("speaker");
  if (state.now >= voice.until) refuse("expired");
  if (state.now - ts > 30000 || ts < state.start) refuse("stale");
  if (ts - state.now > 5000) refuse("early");
  const scope = `${from} ${speaker} ${to === "*"}`;
  const window = state.windows.get(scope);
  if (window && (seq <= window.top - 1024 || seq < window.bottom || window.taken.has(seq))) refuse("replayed");
  const signed = Buffer.from(text.slice(129));
  if (!signedBy(voice.scheme, voice.key, signed, Buffer.from(signature, "hex"))) refuse("signature");
  if (window) { window.taken.add(seq); window.top = Math.max(window.top, seq); }
  else state.windows.set(scope, { top: seq, bottom: seq, taken: new Set([seq]) });
  for (const line of messages) {
    const [, type, id, ack, data] = MESSAGE.exec(line) ?? refuse("message");
    checkJson(data);
    if (voice.purpose === "hub" && !["welcome", "hello", "heartbeat", "heartbeat_ack", "ack", "error"].includes(type)) refuse("message");
    if (ack && !/^[0-9A-Za-z_-][0-9A-Za-z._-]{0,31}\.[1-9][0-9]{0,15}$/.test(id)) refuse("message");
  }
}

let checked = 0, skipped = 0;
const outcome = (action) => {
  try { action(); return "taken"; } catch (error) { if (error instanceof Refused) return error.message; throw error; }
};
for (const wanted of [...vectors.valid, ...vectors.invalid]) {
  const state = {
    now: vectors.now_ms, start: wanted.start_ms ?? vectors.start_ms, hotkey: wanted.hotkey, broadcasts: wanted.broadcasts,
    maxFrameBytes: wanted.max_frame_bytes, windows: new Map(), voices: new Map(),
  };
  try {
    if (wanted.scheme) {
      state.voices.set(wanted.scheme, { scheme: wanted.scheme, key: keyOf(wanted.hotkey), until: Infinity, purpose: "node" });
    }
    const happened = wanted.certificates.map((presented) => outcome(() => {
      state.voices.set(...readCertificate(presented.certificate, state.now, state.hotkey));
    })).concat(wanted.frames.map((arrived) => outcome(() => receive(arrived.frame, state))));
    const expected = [...wanted.certificates, ...wanted.frames].map((row) => row.expect);
    if (happened.join() !== expected.join()) {
      console.error(`${wanted.name}: expected ${expected}, found ${happened}`);
      process.exitCode = 1;
    }
    checked++;
  } catch (error) {
    if (!(error instanceof NeedsSr25519)) throw error;
    skipped++;
  }
}
console.log(JSON.stringify({ checked, skipped }));
