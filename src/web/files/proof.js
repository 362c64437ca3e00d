// Verifies in the browser that the event on this page is in the ledger, and that the page shows
// this event and nothing else: the leaf's hash (RFC 6962), its inclusion proof, and the signature of
// the checkpoint (C2SP tlog-checkpoint in a signed note) by the ledger's key. The browser remembers
// that key, and takes another one only if a chain of signed handovers leads to it.

import { concat, hash, strings, text } from './page.js';

const REMEMBERED = 'daypass-ledger-key';
const HANDOVER = 'daypass-ledger-key@v1';
// The most handovers of one ledger.
const MOST = 64;
const CUT = ' \u2026 (cut here: the whole text is in the event below)';
// Texts of many lines are shown as such, and longer ones than others.
const [LONGEST, LONGEST_OF_LINES] = [4096, 65536];
// Characters that are not seen, as the server writes them out.
const UNSEEN_BUT_LINES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
// Levels that are taken apart, as the server does: more than JSON that it reads can have.
const DEEPEST = 128;
// Beyond it, JavaScript has no exact whole numbers. Events of ours have none.
const EXACT = Number.MAX_SAFE_INTEGER;

const equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

class Lie extends Error {}

function demand(holds, message) {
  if (!holds) throw new Lie(message);
}

function bytes(base64) {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    throw new Lie('the server\u2019s answer is malformed');
  }
}

// ---- The signed checkpoint --------------------------------------------------------------------

async function readKey(line) {
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(line) ?? [];
  demand(name, 'the ledger\u2019s key is malformed');
  const key = bytes(encoded);
  demand(key.length === 33 && key[0] === 1, 'the ledger\u2019s key is not Ed25519');
  const digest = await hash('SHA-256', concat(text.encode(`${name}\n`), key));
  const own = [...digest.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  demand(own === id, 'the ledger\u2019s key has another hash than it says');
  return { name, id: digest.subarray(0, 4), point: key.subarray(1) };
}

async function isSigned(key, signature, message) {
  const point = await crypto.subtle.importKey('raw', key.point, 'Ed25519', false, ['verify']);
  return crypto.subtle.verify('Ed25519', point, signature, message);
}

async function openCheckpoint(note, key) {
  const end = note.indexOf('\n\n');
  demand(end > 0, 'the checkpoint is malformed');
  const signed = note.slice(0, end + 1);
  const [origin, size, root, ...rest] = signed.split('\n');
  demand(origin === key.name, 'the checkpoint is of another ledger');
  demand(/^(0|[1-9][0-9]{0,15})$/.test(size) && rest.length >= 1, 'the checkpoint is malformed');
  const start = `\u2014 ${key.name} `;
  const lines = note.slice(end + 2).split('\n').filter((line) => line.startsWith(start));
  const signatures = lines.map((line) => bytes(line.slice(start.length)));
  const signature = signatures.find((it) => it.length === 68 && equal(it.subarray(0, 4), key.id));
  demand(signature, 'the checkpoint has no signature by the ledger\u2019s key');
  const holds = await isSigned(key, signature.subarray(4), text.encode(signed));
  demand(holds, 'the signature of the checkpoint is false');
  return { size: Number(size), root: bytes(root) };
}

// ---- Handovers of the ledger's key (`daypass help ledger-key`) --------------------------------

// The old key says who follows it, and the new one that its owner has it.
async function checkHandover({ size, old, new: next, old_signature, new_signature }) {
  const [before, after] = [await readKey(old), await readKey(next)];
  demand(before.name === after.name, `the handover at event ${size} is to another ledger`);
  const index = new Uint8Array(8);
  new DataView(index.buffer).setBigUint64(0, BigInt(size));
  const message = strings(HANDOVER, before.name, old, next, index);
  const holds = await isSigned(before, bytes(old_signature), message)
    && await isSigned(after, bytes(new_signature), message);
  demand(holds, `the handover at event ${size} is not signed by the old ledger key and the new one`);
}

// The handovers that lead from the trusted key to the one that the server names, each verified with
// the key that is trusted by then. None if that is the same key.
async function follow(trusted, { key, handovers }) {
  if (trusted === key) return [];
  const broken = 'the server names another ledger key than on your earlier visits with this browser,'
    + ' and no chain of handovers leads to it';
  demand(Array.isArray(handovers) && handovers.length <= MOST && handovers.every(Boolean), broken);
  const start = handovers.findIndex((it) => it.old === trusted);
  demand(start >= 0, broken);
  const had = new Set(handovers.slice(0, start + 1).map((it) => it.old));
  let [last, size] = [trusted, -1];
  for (const handover of handovers.slice(start)) {
    const isNext = Number.isSafeInteger(handover.size) && handover.size > size;
    demand(isNext && handover.old === last && !had.has(handover.new), broken);
    await checkHandover(handover);
    [last, size] = [handover.new, handover.size];
    had.add(last);
  }
  demand(last === key, broken);
  return handovers.slice(start);
}

// ---- The tree ---------------------------------------------------------------------------------

const leafHash = (leaf) => hash('SHA-256', concat(new Uint8Array([0]), leaf));
const nodeHash = (left, right) => hash('SHA-256', concat(new Uint8Array([1]), left, right));

// RFC 9162, section 2.1.3.2.
async function rootOf(index, size, leaf, proof) {
  demand(index < size, 'the event is behind the checkpoint\u2019s end');
  let [node, last, root] = [BigInt(index), BigInt(size) - 1n, leaf];
  for (const sibling of proof) {
    demand(last !== 0n, 'the proof is too long');
    if (node % 2n === 1n || node === last) {
      root = await nodeHash(sibling, root);
      while (node % 2n === 0n && node !== 0n) [node, last] = [node / 2n, last / 2n];
    } else {
      root = await nodeHash(root, sibling);
    }
    [node, last] = [node / 2n, last / 2n];
  }
  demand(last === 0n, 'the proof is too short');
  return root;
}

// ---- The page shows the event -----------------------------------------------------------------

function shown(value, isLines) {
  const characters = Array.from(value);
  const [longest, unseen] = isLines ? [LONGEST_OF_LINES, UNSEEN_BUT_LINES] : [LONGEST, UNSEEN];
  const start = characters.slice(0, longest).join('');
  const escape = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
  return start.replace(unseen, escape) + (characters.length > longest ? CUT : '');
}

// Every value of the event that is no object and no list, by its path (RFC 6901).
function flatten(value, path, depth, fields) {
  const isTree = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isTree || depth === DEEPEST) {
    fields.set(path, value);
    return fields;
  }
  for (const [name, inner] of Object.entries(value)) {
    flatten(inner, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1, fields);
  }
  return fields;
}

function isShown(value, element) {
  const seen = element.textContent;
  if (typeof value === 'string') return shown(value, element.localName === 'pre') === seen;
  if (typeof value !== 'number') return JSON.stringify(value) === seen;
  return Number(seen) === value || Math.abs(value) > EXACT;
}

function compare(event) {
  const fields = flatten(event, '', 0, new Map());
  for (const element of document.querySelectorAll('#fields [data-field]')) {
    const path = element.dataset.field;
    demand(fields.has(path) && isShown(fields.get(path), element),
      `the page shows another ${path.slice(1)} than the event has`);
    fields.delete(path);
  }
  const [left] = fields.keys();
  demand(left === undefined, `the page does not show ${left?.slice(1)}`);
}

// ---- The verdict ------------------------------------------------------------------------------

// The key of this browser's earlier visits. A browser that keeps nothing knows none.
function remembered() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

function remember(key) {
  try {
    localStorage.setItem(REMEMBERED, key);
  } catch {
    // Private windows of some browsers keep nothing.
  }
}

async function verify(index) {
  // Before the answer: a handover meanwhile, which another tab follows, is no lie of this answer.
  const known = remembered();
  const answer = await fetch(`/web/audit/${index}/proof`, { redirect: 'error' });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message ?? `the server answered ${answer.status}`);
  const key = await readKey(said.key);
  const handovers = await follow(known ?? said.key, said);
  const checkpoint = await openCheckpoint(said.checkpoint, key);
  demand(handovers.every((it) => it.size < checkpoint.size), 'the checkpoint is from before a handover');
  const raw = document.getElementById('event').textContent;
  const leaf = await leafHash(text.encode(raw));
  const root = await rootOf(index, checkpoint.size, leaf, said.hashes.map(bytes));
  demand(equal(root, checkpoint.root), 'the event is not in the ledger that the checkpoint signs');
  const event = JSON.parse(raw);
  demand(event.index === index, 'the event has another index');
  compare(event);
  // Not sooner: a key that signs nothing which was proven is not remembered.
  if (known !== said.key) remember(said.key);
  return { size: checkpoint.size, key: said.key, handovers };
}

function put(place, kind, words, code) {
  place.className = `proof ${kind}`;
  place.replaceChildren(...words);
  if (!code) return;
  const line = document.createElement('code');
  line.textContent = code;
  place.append(line);
}

// Said once: the browser remembers the new key.
function tellHandovers(place, handovers) {
  if (!handovers.length) return;
  place.append(' The ledger\u2019s key was changed properly since your last visit with this browser: the key before it signed the new one, at ');
  for (const [at, { size }] of handovers.entries()) {
    const link = document.createElement('a');
    link.href = `/web/audit/${size}`;
    link.textContent = `event ${size}`;
    place.append(at ? ' and ' : '', link);
  }
  place.append('.');
}

async function run(place) {
  const index = Number(place.dataset.index);
  try {
    const { size, key, handovers } = await verify(index);
    const words = `\u2713 Proven by your browser: this event is in the ledger of ${size} events, and the page shows all of it. `;
    put(place, 'proven', [words, 'Compare the ledger\u2019s key with that of '], 'daypass status --format json');
    const line = document.createElement('code');
    line.textContent = key;
    place.append(': ', line, '.');
    tellHandovers(place, handovers);
  } catch (error) {
    if (error instanceof Lie) {
      place.setAttribute('role', 'alert');
      put(place, 'lie', [`\u2717 Not proven: ${error.message}. Do not rely on this page. Tell your security team, and run `], `daypass ledger show ${index}`);
    } else if (error.name === 'NotSupportedError') {
      put(place, '', ['Not verified: this browser has no Ed25519. On a command line: '], `daypass ledger show ${index}`);
    } else {
      put(place, '', [`Not verified: ${error.message}. On a command line: `], `daypass ledger show ${index}`);
    }
  }
}

const place = document.getElementById('proof');
if (place) run(place);
