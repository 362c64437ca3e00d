// A real Chromium for tests/web: `node browser.mjs SPKI FOLDER`. Each line of stdin is a JSON
// string, the body of an async function; each line of stdout is what it returned, or its error.
// Ends when stdin closes.
//
// The body has: `browser`, `keep` (an object that lasts), `open(options)` (a page in a context of
// its own: another person's browser), `signIn(page, name, password)`, `follow(page, selector)` and
// `axe(page)`.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

import { chromium } from 'playwright-core';

const [spki, folder] = process.argv.slice(2);
process.env.TMPDIR = folder;

// For one element, or for the browser's start. Only a slow machine needs more than a second.
const PATIENCE = 80_000;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  timeout: PATIENCE,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-dev-shm-usage', `--ignore-certificate-errors-spki-list=${spki}`,
  ],
});
const keep = {};
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 900 };

async function open({ phone = false, dark = false, script = true } = {}) {
  const context = await browser.newContext({
    viewport: phone ? PHONE : DESKTOP,
    hasTouch: phone,
    isMobile: phone,
    colorScheme: dark ? 'dark' : 'light',
    javaScriptEnabled: script,
  });
  context.setDefaultTimeout(PATIENCE);
  // oidc-provider's own pages ask for a font.
  await context.route('https://fonts.googleapis.com/**', (route) =>
    route.fulfill({ contentType: 'text/css', body: '' }));
  const page = await context.newPage();
  page.troubles = [];
  page.on('console', (line) => {
    // The provider's pages are plain http, and not ours.
    const { url } = line.location();
    if (line.type() === 'error' && !url.startsWith('http:')) page.troubles.push(`${line.text()} ${url}`);
  });
  // What a page of https asks of any other address.
  page.elsewhere = [];
  page.on('request', (request) => {
    const from = request.frame().url();
    if (request.isNavigationRequest() || !from.startsWith('https:')) return;
    if (new URL(request.url()).origin !== new URL(from).origin) page.elsewhere.push(request.url());
  });
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  return page;
}

// Walks from the page's sign-in through the provider's form, back to where it began.
async function signIn(page, name, password) {
  await page.locator('#sign-in button').first().click();
  await page.fill('input[name=login]', name);
  await page.fill('input[name=password]', password);
  await Promise.all([page.waitForURL(/\/web\/(requests|access|audit|passkey)/), page.click('button[type=submit]')]);
}

// Clicks what leads to another page, and waits until that page is there with its styles: a click
// alone ends before, and what is read then is of the old page, or of one without spaces between its
// lines.
async function follow(page, selector) {
  await Promise.all([page.waitForEvent('load'), page.click(selector)]);
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// The findings of axe-core, in a world of their own that the page's policy does not reach.
async function axe(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate('axe.run()');
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
}

const Body = Object.getPrototypeOf(async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const body = new Body('browser', 'keep', 'open', 'signIn', 'follow', 'axe', JSON.parse(line));
    answer = { value: (await body(browser, keep, open, signIn, follow, axe)) ?? null };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
