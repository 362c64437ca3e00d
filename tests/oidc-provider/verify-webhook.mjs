// Verifies one webhook delivery, for tests/wire/webhooks.rs.
// Reads {"secret": ..., "headers": {...}, "body": ...} from stdin.
// Exits with 0 if the signature is valid, else with 1.

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
