// Passkeys (WebAuthn): make one for an administrator to register, and show presence with one.
//
// The signature has OpenSSH's form of WebAuthn, webauthn-sk-ecdsa-sha2-nistp256@openssh.com
// (PROTOCOL.u2f), so `ssh-keygen -Y verify` checks it too.

import { armored, base64, base64url, concat, hash, signedData, strings, tell, usable } from '/web/page.js';

const KEY = 'sk-ecdsa-sha2-nistp256@openssh.com';
const SIGNATURE = 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com';
const PREFIX = 'passkey:';
const ES256 = -7;
const PATIENCE = 120_000;
const FLAGS = 32;
const EXTENSIONS = 37;

const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const fromBase64url = (encoded) => bytes(encoded.replaceAll('-', '+').replaceAll('_', '/'));

// The last string of a key's blob: the domain that the passkey is for.
function domain(blob) {
  const view = new DataView(blob.buffer);
  let at = 0;
  let last = new Uint8Array();
  while (at + 4 <= blob.length) {
    const length = view.getUint32(at);
    last = blob.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return new TextDecoder().decode(last);
}

// The passkeys of this page's domain among registered lines (JSON).
export function passkeys(lines) {
  return JSON.parse(lines)
    .map((line) => line.split(' '))
    .filter(([algorithm, , comment]) => algorithm === KEY && comment?.startsWith(PREFIX))
    .map(([, key, comment]) => ({ blob: bytes(key), id: fromBase64url(comment.slice(PREFIX.length)) }))
    .filter(({ blob }) => domain(blob) === location.hostname);
}

const listed = (known) => known.map(({ id }) => ({ type: 'public-key', id }));

// The two numbers of an ECDSA signature in DER. Their bytes are SSH's, too (RFC 4251, `mpint`).
function numbers(der) {
  const length = der[3];
  return strings(der.subarray(4, 4 + length), der.subarray(6 + length));
}

// An SSHSIG by one of these passkeys. The person touches it, or unlocks the device.
export async function touch(known, message) {
  const used = await navigator.credentials.get({
    publicKey: {
      challenge: await signedData(message),
      rpId: location.hostname,
      allowCredentials: listed(known),
      userVerification: 'preferred',
      timeout: PATIENCE,
    },
  }).catch((error) => { throw new Error(`The passkey did not sign: ${error.message}`); });
  const id = base64url(new Uint8Array(used.rawId));
  const { blob } = known.find((one) => base64url(one.id) === id);
  const data = new Uint8Array(used.response.authenticatorData);
  const signature = concat(
    strings(SIGNATURE, numbers(new Uint8Array(used.response.signature))),
    data.subarray(FLAGS, EXTENSIONS),
    strings(location.origin, new Uint8Array(used.response.clientDataJSON), data.subarray(EXTENSIONS)),
  );
  return armored(blob, signature);
}

// The registration of a passkey, as the policy has it.
async function make({ issuer, subject, label, keys }) {
  const made = await navigator.credentials.create({
    publicKey: {
      rp: { id: location.hostname, name: 'Daypass' },
      user: { id: await hash('SHA-256', strings(issuer, subject)), name: label, displayName: label },
      challenge: crypto.getRandomValues(new Uint8Array(32)),
      pubKeyCredParams: [{ type: 'public-key', alg: ES256 }],
      attestation: 'none',
      authenticatorSelection: { residentKey: 'discouraged', userVerification: 'preferred' },
      excludeCredentials: listed(passkeys(keys)),
      timeout: PATIENCE,
    },
  });
  if (made.response.getPublicKeyAlgorithm() !== ES256) throw new Error('it is not a P-256 key');
  // The point is the end of the SubjectPublicKeyInfo (RFC 5480).
  const point = new Uint8Array(made.response.getPublicKey()).slice(-65);
  const blob = strings(KEY, 'nistp256', point, location.hostname);
  const line = `${KEY} ${base64(blob)} ${PREFIX}${base64url(new Uint8Array(made.rawId))}`;
  return [
    '[[presence_identity]]',
    `issuer = ${JSON.stringify(issuer)}`,
    `subject = ${JSON.stringify(subject)}`,
    `keys = [\n  ${JSON.stringify(line)},\n]\n`,
  ].join('\n');
}

// Offers to make a passkey.
export function offer(panel) {
  const button = panel.querySelector('button');
  if (!usable()) return;
  if (!globalThis.PublicKeyCredential) {
    tell('This browser has no passkeys (WebAuthn).');
    return;
  }
  // The last part of a name is not a number; browsers make passkeys for names only.
  if (/(^|\.)[0-9]+$|^\[/.test(location.hostname)) {
    tell('Passkeys need a page with a name, and this one has an address: set url in [web] of daypass.toml.');
    return;
  }
  button.disabled = false;
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const table = await make(panel.dataset);
      document.getElementById('line').value = table;
      document.getElementById('made').hidden = false;
      document.getElementById('line').select();
    } catch (error) {
      const known = error.name === 'InvalidStateError';
      tell(known ? 'This device has a registered passkey of yours already.' : `No passkey was made: ${error.message}`);
    }
    button.disabled = false;
  });
}
