// Verifies one webhook delivery, for tests/wire/webhooks.rs: stdin is {"secret": ..., "headers": {...}, "body": ...}.
// Exits 0 where the signature is good, 1 where it is not.

import { Webhook } from 'standardwebhooks';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { secret, headers, body } = JSON.parse(Buffer.concat(chunks).toString());
try {
  new Webhook(secret).verify(body, headers);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
