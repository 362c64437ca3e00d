// Verifies in the browser that the event on this page is in the ledger, and that the page shows
// this event and nothing else: the leaf's hash (RFC 6962), its inclusion proof, and the signature of
// the checkpoint (C2SP tlog-checkpoint in a signed note) by the ledger's key.

import { concat, hash, text } from './page.js';

const REMEMBERED = 'daypass-ledger-key';
const CUT = ' \u2026 (cut here: the whole text is in the event below)';
const LONGEST = 4096;
// Characters that are not seen, as the server writes them out.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
// Levels that are taken apart, as the server does: more than JSON that it reads can have.
const DEEPEST = 128;
// Beyond it, JavaScript has no exact whole numbers. Events of ours have none.
const EXACT = Number.MAX_SAFE_INTEGER;

const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

class Lie extends Error {}

function demand(holds, message) {
  if (!holds) throw new Lie(message);
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
  const point = await crypto.subtle.importKey('raw', key.point, 'Ed25519', false, ['verify']);
  const holds = await crypto.subtle.verify('Ed25519', point, signature.subarray(4), text.encode(signed));
  demand(holds, 'the signature of the checkpoint is false');
  return { size: Number(size), root: bytes(root) };
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

function shown(value) {
  const characters = Array.from(value);
  const start = characters.slice(0, LONGEST).join('');
  const escape = (unseen) => `\\u{${unseen.codePointAt(0).toString(16)}}`;
  return start.replace(UNSEEN, escape) + (characters.length > LONGEST ? CUT : '');
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

function isShown(value, seen) {
  if (typeof value === 'string') return shown(value) === seen;
  if (typeof value !== 'number') return JSON.stringify(value) === seen;
  return Number(seen) === value || Math.abs(value) > EXACT;
}

function compare(event) {
  const fields = flatten(event, '', 0, new Map());
  for (const element of document.querySelectorAll('#fields [data-field]')) {
    const path = element.dataset.field;
    demand(fields.has(path) && isShown(fields.get(path), element.textContent),
      `the page shows another ${path.slice(1)} than the event has`);
    fields.delete(path);
  }
  const [left] = fields.keys();
  demand(left === undefined, `the page does not show ${left?.slice(1)}`);
}

// ---- The verdict ------------------------------------------------------------------------------

function remembered(key) {
  try {
    const before = localStorage.getItem(REMEMBERED);
    if (before === null) localStorage.setItem(REMEMBERED, key);
    return before ?? key;
  } catch {
    return key;
  }
}

async function verify(index) {
  const answer = await fetch(`/web/audit/${index}/proof`, { redirect: 'error' });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message ?? `the server answered ${answer.status}`);
  const key = await readKey(said.key);
  demand(remembered(said.key) === said.key,
    'the server names another ledger key than on your earlier visits with this browser');
  const checkpoint = await openCheckpoint(said.checkpoint, key);
  const raw = document.getElementById('event').textContent;
  const leaf = await leafHash(text.encode(raw));
  const root = await rootOf(index, checkpoint.size, leaf, said.hashes.map(bytes));
  demand(equal(root, checkpoint.root), 'the event is not in the ledger that the checkpoint signs');
  const event = JSON.parse(raw);
  demand(event.index === index, 'the event has another index');
  compare(event);
  return { size: checkpoint.size, key: said.key };
}

function put(place, kind, words, code) {
  place.className = `proof ${kind}`;
  place.replaceChildren(...words);
  if (!code) return;
  const line = document.createElement('code');
  line.textContent = code;
  place.append(line);
}

async function run(place) {
  const index = Number(place.dataset.index);
  try {
    const { size, key } = await verify(index);
    const words = `\u2713 Proven by your browser: this event is in the ledger of ${size} events, and the page shows all of it. `;
    put(place, 'proven', [words, 'Compare the ledger\u2019s key with that of '], 'daypass status --format json');
    const line = document.createElement('code');
    line.textContent = key;
    place.append(': ', line);
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
