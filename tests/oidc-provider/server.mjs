// A certified OpenID provider on a free loopback port: `node server.mjs ES256`. With a URL, a
// certificate and a key, on the HTTPS port of all addresses:
// `node server.mjs ES256 https://id.example.com id.pem id.key`.
// Prints its URL when it listens. POST /rotate replaces its keys. POST /page?URI registers a
// confidential client with this redirect URI. Ends when stdin closes.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

import Provider from 'oidc-provider';

const [algorithm = 'ES256', publicUrl, certificate, certificateKey] = process.argv.slice(2);
const groups = {
  alice: ['sre', 'oncall'],
  bob: ['oncall'],
  carol: ['sre-lead', 'security'],
  dave: ['dba'],
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

// A web server's client: it has a secret.
const page = [];

function register(redirect) {
  page.splice(0, 1, {
    client_id: 'daypass-page',
    client_secret: 'page-secret:100%+more&',
    application_type: 'web',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: [redirect],
    id_token_signed_response_alg: algorithm,
  });
}

function provider(issuer) {
  return new Provider(issuer, {
    clients: [...page, {
      client_id: 'daypass',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/'],
      id_token_signed_response_alg: algorithm,
      require_auth_time: true,
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['for tests only'] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    features: { devInteractions: { enabled: true }, deviceFlow: { enabled: true }, revocation: { enabled: true } },
    findAccount,
    jwks: { keys: freshKeys() },
    pkce: { required: () => true },
    // Each use of a refresh token makes a new one, and a second use of the old one ends the grant.
    rotateRefreshToken: true,
    scopes: ['openid', 'email', 'groups', 'offline_access'],
  }).callback();
}

let handle;
function answer(request, response) {
  if (request.method === 'POST' && request.url === '/rotate') {
    handle = provider(url());
    response.writeHead(204).end();
  } else if (request.method === 'POST' && request.url.startsWith('/page?')) {
    register(decodeURIComponent(request.url.slice('/page?'.length)));
    handle = provider(url());
    response.writeHead(204).end();
  } else {
    handle(request, response);
  }
}

const server = publicUrl
  ? createSecureServer({ cert: readFileSync(certificate), key: readFileSync(certificateKey) }, answer)
  : createServer(answer);

function url() {
  return publicUrl ?? `http://127.0.0.1:${server.address().port}`;
}

server.listen(publicUrl ? { host: '::', port: 443 } : { host: '127.0.0.1', port: 0 }, () => {
  handle = provider(url());
  console.log(url());
});
process.stdin.resume().on('end', () => process.exit(0));
