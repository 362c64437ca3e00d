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

const text = new TextEncoder();

function concat(...parts) {
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

const strings = (...values) => concat(...values.map(string));

// A number without needless zeros, and with one if its first bit is set (RFC 4251, `mpint`).
function mpint(bytes) {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const number = bytes.subarray(start);
  return number[0] & 0x80 ? concat(new Uint8Array(1), number) : number;
}

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const base64url = (bytes) => base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
const hash = async (name, bytes) => new Uint8Array(await crypto.subtle.digest(name, bytes));

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

// An armored SSHSIG (PROTOCOL.sshsig).
async function sign(record, message) {
  const magic = text.encode('SSHSIG');
  const digest = await hash('SHA-512', message);
  const data = concat(magic, strings(NAMESPACE, '', 'sha512', digest));
  const isEdwards = record.type === 'ssh-ed25519';
  const algorithm = isEdwards ? 'Ed25519' : { name: 'ECDSA', hash: 'SHA-256' };
  const raw = new Uint8Array(await crypto.subtle.sign(algorithm, record.key, data));
  const numbers = isEdwards ? raw : strings(mpint(raw.subarray(0, 32)), mpint(raw.subarray(32)));
  const signature = strings(record.type, numbers);
  const version = new Uint8Array([0, 0, 0, 1]);
  const all = concat(magic, version, strings(record.blob, NAMESPACE, '', 'sha512', signature));
  const lines = base64(all).match(/.{1,70}/g).join('\n');
  return `-----BEGIN SSH SIGNATURE-----\n${lines}\n-----END SSH SIGNATURE-----\n`;
}

// ---- The page ---------------------------------------------------------------------------------

function tell(message) {
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

function usable() {
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
        const { request } = panel.dataset;
        const afterwards = request === undefined ? null : Number(request);
        const issuer = button.dataset.issuer;
        const { url } = await post('/web/sign-in', { issuer, commitment, request: afterwards });
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
  link.href = `/web/sign-in?request=${form.dataset.id}`;
  link.textContent = 'Sign in again';
  document.getElementById('trouble').append(' ', link);
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
    if (old.innerHTML !== live.innerHTML) old.replaceWith(document.adoptNode(live));
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
  let polls;
  const events = new EventSource(`/web/events?request=${request}`);
  events.addEventListener('message', refresh);
  events.addEventListener('error', () => {
    // Refused: too many watches, or the sign-in is over. Otherwise the browser connects again.
    if (events.readyState !== EventSource.CLOSED) return;
    polls ??= setInterval(refresh, POLL);
    refresh();
  });
  addEventListener('pageshow', (event) => { if (event.persisted) refresh(); });
}

function count() {
  for (const time of document.querySelectorAll('[data-ends]')) {
    const left = Math.max(0, Number(time.dataset.ends) - Math.floor(Date.now() / 1000));
    const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
    const words = [hours && `${hours}h`, minutes && `${minutes}m`, !hours && `${seconds}s`];
    time.textContent = words.filter(Boolean).join(' ');
  }
}

const panel = document.getElementById('sign-in');
if (panel) signIn(panel);
const form = document.getElementById('decide');
if (form) decision(form);
const live = document.getElementById('live');
if (live) {
  watch(live.dataset.watch);
  setInterval(count, 1000);
}
