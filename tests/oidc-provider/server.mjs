// A certified OpenID provider on a free loopback port, for tests/oidc.rs: `node server.mjs ES256`.
// Prints its URL when it listens. POST /rotate replaces its keys. Ends when stdin closes.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const algorithm = process.argv[2] ?? 'ES256';
const groups = {
  alice: ['sre', 'oncall'],
  bob: ['oncall'],
  carol: ['sre-lead', 'security'],
  mallory: [],
};

let generation = 0;

function key(kind, options, alg) {
  const { privateKey } = generateKeyPairSync(kind, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${generation}` };
}

function freshKeys() {
  generation += 1;
  return [
    key('rsa', { modulusLength: 2048 }, 'RS256'),
    key('ec', { namedCurve: 'P-256' }, 'ES256'),
    key('ed25519', {}, 'EdDSA'),
  ];
}

function findAccount(_, name) {
  if (!(name in groups)) return undefined;
  const claims = {
    sub: name, email: `${name}@example.com`, email_verified: true, groups: groups[name],
  };
  return { accountId: name, claims: () => claims };
}

function provider(issuer) {
  return new Provider(issuer, {
    clients: [{
      client_id: 'daypass',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/'],
      id_token_signed_response_alg: algorithm,
      require_auth_time: true,
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['for tests only'] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    features: { devInteractions: { enabled: true }, deviceFlow: { enabled: true } },
    findAccount,
    jwks: { keys: freshKeys() },
    pkce: { required: () => true },
    scopes: ['openid', 'email', 'groups'],
  }).callback();
}

let handle;
const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    handle = provider(url());
    response.writeHead(204).end();
  } else {
    handle(request, response);
  }
});

function url() {
  return `http://127.0.0.1:${server.address().port}`;
}

server.listen(0, '127.0.0.1', () => {
  handle = provider(url());
  console.log(url());
});
process.stdin.resume().on('end', () => process.exit(0));
