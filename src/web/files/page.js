// The browser's part: its key, the signature of a decision, and the news of changes.
//
// The key is made here and cannot be exported: only the browser uses it. What it signs is built from
// the event on the page, byte for byte as the command line does it (PROTOCOL.sshsig, and
// `daypass help requests`).

const NAMESPACE = 'daypass-approve@v1';
const COMMITMENT = 'daypass-binding@v1\0';
// Sign-ins whose keys are kept: a few tabs, each with its own.
const KEPT = 4;
const POLL = 10_000;
// The server sends a beat every five seconds. A stream that is silent for longer has lost its
// connection, and neither side knows.
const SILENCE = 15_000;
// A wall clock that runs ahead by more: the machine slept, or its clock was set.
const LEAP = 5000;

const text = new TextEncoder();

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// Bytes after their length (RFC 4251, section 5).
function string(value) {
  const bytes = typeof value === 'string' ? text.encode(value) : value;
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return concat(length, bytes);
}

export const strings = (...values) => concat(...values.map(string));

// A number without needless zeros, and with one if its first bit is set (RFC 4251, `mpint`).
function mpint(bytes) {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const number = bytes.subarray(start);
  return number[0] & 0x80 ? concat(new Uint8Array(1), number) : number;
}

export const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
export const base64url = (bytes) => base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
export const hash = async (name, bytes) => new Uint8Array(await crypto.subtle.digest(name, bytes));

// ---- Keys -------------------------------------------------------------------------------------

function store(mode, work) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('daypass', 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('keys', { keyPath: 'commitment' });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction('keys', mode);
      const request = work(transaction.objectStore('keys'));
      transaction.oncomplete = () => { database.close(); resolve(request.result); };
      transaction.onerror = () => { database.close(); reject(transaction.error); };
      transaction.onabort = () => { database.close(); reject(transaction.error); };
    };
  });
}

const find = (commitment) => store('readonly', (keys) => keys.get(commitment));

async function keep(record) {
  const all = await store('readonly', (keys) => keys.getAll());
  const old = all.sort((a, b) => b.made - a.made).slice(KEPT - 1);
  await store('readwrite', (keys) => {
    for (const one of old) keys.delete(one.commitment);
    return keys.put(record);
  });
}

async function makePair() {
  try {
    const pair = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']);
    return { pair, type: 'ssh-ed25519' };
  } catch (error) {
    if (error.name !== 'NotSupportedError' && !(error instanceof TypeError)) throw error;
    const curve = { name: 'ECDSA', namedCurve: 'P-256' };
    const pair = await crypto.subtle.generateKey(curve, false, ['sign', 'verify']);
    return { pair, type: 'ecdsa-sha2-nistp256' };
  }
}

async function makeKey() {
  const { pair, type } = await makePair();
  const point = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
  const blob = type === 'ssh-ed25519' ? strings(type, point) : strings(type, 'nistp256', point);
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const material = concat(text.encode(COMMITMENT), strings(blob, secret));
  const commitment = base64url(await hash('SHA-256', material));
  const record = { commitment, type, blob, secret, key: pair.privateKey, made: Date.now() };
  await keep(record);
  return record;
}

const MAGIC = text.encode('SSHSIG');

// The bytes that a key signs for a message (PROTOCOL.sshsig).
export const signedData = async (message, namespace = NAMESPACE) =>
  concat(MAGIC, strings(namespace, '', 'sha512', await hash('SHA-512', message)));

// An armored SSHSIG of a key's blob and its signature's (PROTOCOL.sshsig).
export function armored(blob, signature, namespace = NAMESPACE) {
  const version = new Uint8Array([0, 0, 0, 1]);
  const all = concat(MAGIC, version, strings(blob, namespace, '', 'sha512', signature));
  const lines = base64(all).match(/.{1,70}/g).join('\n');
  return `-----BEGIN SSH SIGNATURE-----\n${lines}\n-----END SSH SIGNATURE-----\n`;
}

async function sign(record, message, namespace = NAMESPACE) {
  const data = await signedData(message, namespace);
  const isEdwards = record.type === 'ssh-ed25519';
  const algorithm = isEdwards ? 'Ed25519' : { name: 'ECDSA', hash: 'SHA-256' };
  const raw = new Uint8Array(await crypto.subtle.sign(algorithm, record.key, data));
  const numbers = isEdwards ? raw : strings(mpint(raw.subarray(0, 32)), mpint(raw.subarray(32)));
  return armored(record.blob, strings(record.type, numbers), namespace);
}

// ---- The page ---------------------------------------------------------------------------------

export function tell(message) {
  const trouble = document.getElementById('trouble');
  if (!trouble) return;
  trouble.textContent = message;
  trouble.hidden = false;
  trouble.scrollIntoView({ block: 'nearest' });
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.message ?? `The server answered ${answer.status}.`);
  return said;
}

export function usable() {
  if (!globalThis.isSecureContext || !crypto.subtle) {
    tell('This page needs https: the browser keeps keys of secure pages only.');
    return false;
  }
  if (!globalThis.indexedDB) {
    tell('This browser keeps no keys (IndexedDB is off, as in some private windows).');
    return false;
  }
  return true;
}

function signIn(panel) {
  const buttons = panel.querySelectorAll('button');
  const enable = (on) => { for (const button of buttons) button.disabled = !on; };
  enable(usable());
  for (const button of buttons) {
    button.addEventListener('click', async () => {
      enable(false);
      try {
        const { commitment } = await makeKey();
        const { to } = panel.dataset;
        const { url } = await post('/web/sign-in', { issuer: button.dataset.issuer, commitment, to });
        location.assign(url);
      } catch (error) {
        tell(error.message);
        enable(true);
      }
    });
  }
  // The page may come back from the browser's memory.
  addEventListener('pageshow', () => enable(usable()));
}

function again(form) {
  const link = document.createElement('a');
  link.href = `/web/sign-in?to=requests/${form.dataset.id}`;
  link.textContent = 'Sign in again';
  document.getElementById('trouble').append(' ', link);
}

// If approvals take a passkey: the function that signs with it. Without a passkey of this page,
// there is nothing to approve with.
async function presenceOf(form) {
  if (!form.dataset.presence) return undefined;
  const { passkeys, touch } = await import('/web/passkey.js');
  const known = passkeys(form.dataset.presence);
  if (known.length) return (message) => touch(known, message);
  form.querySelector('button.approve')?.remove();
  document.getElementById('no-passkey').hidden = false;
  return undefined;
}

async function decision(form) {
  if (!usable()) return;
  const { id, server, issuer, subject, commitment } = form.dataset;
  const record = await find(commitment).catch(() => undefined);
  if (!record) {
    tell('The key of this sign-in is not in this browser any more, so it cannot sign a decision.');
    again(form);
    return;
  }
  const presence = await presenceOf(form);
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const verb = event.submitter?.value;
    if (!verb || form.dataset.busy) return;
    form.dataset.busy = 'yes';
    const fields = form.querySelectorAll('button, input');
    const enable = (on) => { for (const field of fields) field.disabled = !on; };
    // Half of a surrogate pair is no text: it is signed as it is sent.
    const comment = new TextDecoder().decode(text.encode(form.elements.comment.value.trim()));
    enable(false);
    try {
      const leaf = concat(new Uint8Array(1), text.encode(document.getElementById('event').textContent));
      const digest = await hash('SHA-256', leaf);
      const message = strings(NAMESPACE, verb, server, issuer, subject, digest, comment);
      await post(`/web/requests/${id}/${verb}`, {
        commitment,
        comment,
        public_key: `${record.type} ${base64(record.blob)}`,
        binding_secret: base64(record.secret),
        signature: await sign(record, message),
        presence_signature: verb === 'approve' && presence ? await presence(message) : '',
      });
      decided += 1;
      form.remove();
    } catch (error) {
      tell(error.message);
      enable(true);
      delete form.dataset.busy;
    }
    refresh();
  });
}

let fetching = false;
let stale = false;
// The number of decisions on this page. What was fetched before the last one is not shown.
let decided = 0;

// The part without the words of its countdowns.
function content(part) {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll('[data-ends]')) time.textContent = '';
  return copy.innerHTML;
}

// Puts the fresh part in the place of the old one. A link that has the focus keeps it.
function exchange(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
  old.replaceWith(fresh);
  const links = [...fresh.querySelectorAll('a')];
  if (focused) links.find((link) => link.getAttribute('href') === focused)?.focus();
  count();
}

// Fetches this page again and takes over the part that changes. What happens meanwhile is fetched
// after it.
async function refresh() {
  stale = fetching;
  if (fetching) return;
  fetching = true;
  const before = decided;
  try {
    const answer = await fetch(location.href, { redirect: 'manual' });
    if (answer.type === 'opaqueredirect') {
      tell('Your sign-in is over.');
      const form = document.getElementById('decide');
      if (form) again(form); else location.reload();
      return;
    }
    if (!answer.ok) return;
    const html = await answer.text();
    if (before !== decided) return;
    const fresh = new DOMParser().parseFromString(html, 'text/html');
    const [old, live] = [document, fresh].map((page) => page.getElementById('live'));
    if (!old || !live) return;
    setClock(live);
    if (content(old) !== content(live)) exchange(old, document.adoptNode(live));
    // A comment that is being typed stays, as long as there is something to decide.
    const form = document.getElementById('decide');
    if (form && !fresh.getElementById('decide')) form.remove();
    if (!form && !decided && fresh.getElementById('decide')) location.reload();
  } catch {
    // The server is away: the next try finds it.
  } finally {
    fetching = false;
    if (stale) refresh();
  }
}

function watch(request) {
  let [polls, events, heard] = [];
  const hear = () => { heard = performance.now(); };
  const open = () => {
    hear();
    events = new EventSource(`/web/events?request=${request}`);
    for (const name of ['open', 'beat', 'message']) events.addEventListener(name, hear);
    events.addEventListener('message', refresh);
    events.addEventListener('error', () => {
      // Refused: too many watches, or the sign-in is over. Otherwise the browser connects again.
      if (events.readyState !== EventSource.CLOSED) return;
      polls ??= setInterval(refresh, POLL);
      refresh();
    });
  };
  open();
  let wall = Date.now();
  setInterval(() => {
    const leap = Date.now() - wall;
    wall += leap;
    if (leap > LEAP && !document.hidden) refresh();
    if (polls || performance.now() - heard < SILENCE) return;
    // Its first message is what there is now, so nothing is missed.
    events.close();
    open();
  }, 1000);
  addEventListener('pageshow', (event) => { if (event.persisted) refresh(); });
  // A machine that slept missed changes, and its monotonic clock may have stood still.
  document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
}

// The server's time: the browser's clock may be wrong, or be set while the page is open.
const clock = { server: 0, at: 0 };

function setClock(part) {
  clock.server = Number(part.dataset.now);
  clock.at = performance.now();
}

// The ends that have come, each of which the server is asked about once.
const over = new Set();

function count() {
  const now = clock.server + Math.floor((performance.now() - clock.at) / 1000);
  for (const time of document.querySelectorAll('[data-ends]')) {
    const left = Math.max(0, Number(time.dataset.ends) - now);
    const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
    const words = [hours && `${hours}h`, minutes && `${minutes}m`, !hours && `${seconds}s`];
    time.textContent = words.filter(Boolean).join(' ');
    if (left || over.has(time.dataset.ends)) continue;
    over.add(time.dataset.ends);
    setTimeout(refresh, 1000);
  }
}

const panel = document.getElementById('sign-in');
if (panel) signIn(panel);
const form = document.getElementById('decide');
if (form) decision(form);
const maker = document.getElementById('passkey');
if (maker) import('/web/passkey.js').then(({ offer }) => offer(maker));
const live = document.getElementById('live');
if (live) {
  setClock(live);
  watch(live.dataset.watch);
  setInterval(count, 1000);
}

// For the scripts of single pages.
export { find, post, sign, string, text };
