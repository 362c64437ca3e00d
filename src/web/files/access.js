// The lock on oneself. It is an order as an administrator gives it, signed by this browser's key:
// what is signed is built byte for byte as the command line does it (`daypass help locks`).

import { base64, concat, find, post, sign, string, strings, tell, text, usable } from './page.js';

const NAMESPACE = 'daypass-admin@v1';

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));

// 64 bits, the highest first.
function number(value) {
  const eight = new Uint8Array(8);
  new DataView(eight.buffer).setBigUint64(0, BigInt(value));
  return eight;
}

// The form as the server has it now: the token of a sign-in that was renewed is another one.
async function current(commitment) {
  const answer = await fetch(location.href, { redirect: 'manual' });
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const data = page.getElementById('lock-me')?.dataset;
  if (!data) throw new Error('Your sign-in is over. Sign in again.');
  if (data.commitment === commitment) return data;
  throw new Error('You have signed in anew in another tab. Load this page again.');
}

async function offer(form) {
  if (!usable()) return;
  const { server, issuer, subject, commitment } = form.dataset;
  const record = await find(commitment).catch(() => undefined);
  if (!record) {
    tell('The key of this sign-in is not in this browser any more, so it cannot sign the lock. Sign out, and sign in again.');
    return;
  }
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (form.dataset.busy) return;
    form.dataset.busy = 'yes';
    const fields = form.querySelectorAll('button, input');
    const enable = (on) => { for (const field of fields) field.disabled = !on; };
    // Half of a surrogate pair is no text: it is signed as it is sent.
    const reason = new TextDecoder().decode(text.encode(form.elements.reason.value.trim()));
    enable(false);
    try {
      const { token, after } = await current(commitment);
      const message = concat(
        strings(NAMESPACE, 'lock', server, bytes(token), issuer, subject, 'identity', subject, reason),
        string(number(after)),
      );
      await post('/web/access/lock', {
        commitment,
        reason,
        after: Number(after),
        public_key: `${record.type} ${base64(record.blob)}`,
        binding_secret: base64(record.secret),
        signature: await sign(record, message, NAMESPACE),
      });
      location.replace('/web/locked');
    } catch (error) {
      tell(error.message);
      enable(true);
      delete form.dataset.busy;
    }
  });
}

const form = document.getElementById('lock-me');
if (form) offer(form);
