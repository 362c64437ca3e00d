// The identity provider of a CI: node ci.mjs URL CERTIFICATE KEY
//
// Signs RS256 tokens for the audience that a job asks for (GET /token?audience=...), as CI
// systems do within a job.
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [url, certificate, certificateKey] = process.argv.slice(2);
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(audience) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: url, sub: 'job-7', aud: audience, iat: now, exp: now + 300, groups: ['sre'] };
  const text = `${encode({ alg: 'RS256', kid: 'ci', typ: 'JWT' })}.${encode(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
}

const documents = {
  '/.well-known/openid-configuration': {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    jwks_uri: `${url}/keys`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
  },
  '/keys': { keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'ci' }] },
};

const options = { cert: readFileSync(certificate), key: readFileSync(certificateKey) };
createServer(options, (request, response) => {
  const { pathname, searchParams } = new URL(request.url, url);
  if (pathname === '/token') return response.end(token(searchParams.get('audience')));
  if (!documents[pathname]) return response.writeHead(404).end();
  return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(documents[pathname]));
}).listen(443, '::', () => console.log(url));
