// Receives webhooks over HTTPS: node receiver.mjs CERTIFICATE KEY SECRET
//
// Prints a line for each delivery: its path, whether its signature (Standard Webhooks) is right,
// and its type, or the text of a chat's.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [certificate, key, secret] = process.argv.slice(2);
const bytes = Buffer.from(readFileSync(secret, 'utf8').trim().replace('whsec_', ''), 'base64');

const signature = (headers, body) => {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  return `v1,${createHmac('sha256', bytes).update(signed).digest('base64')}`;
};

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
  let body = '';
  request.on('data', (chunk) => { body += chunk; });
  request.on('end', () => {
    const is_signed = request.headers['webhook-signature'] === signature(request.headers, body);
    const { type, text } = JSON.parse(body);
    console.log(`${request.url} ${is_signed ? 'signed' : 'unsigned'} ${type ?? text}`);
    response.writeHead(204).end();
  });
});
server.listen(8443, '::', () => console.log('listening'));
