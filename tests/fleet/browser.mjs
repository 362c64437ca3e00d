#!/usr/bin/env node
// The browser of a person who signs in, as $BROWSER names it: follows an identity provider's forms
// and redirects, types the name of the user that runs it, and agrees to everything. A page after
// the sign-in ends it. Its roots are the system's.

const NAME = process.env.BROWSE_AS ?? process.env.USER;
const STEPS = 20;

const cookies = new Map();

async function request(url, form) {
  const response = await fetch(url, {
    method: form ? 'POST' : 'GET',
    body: form,
    redirect: 'manual',
    headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
  });
  for (const cookie of response.headers.getSetCookie()) {
    const [name, ...value] = cookie.split(';')[0].split('=');
    cookies.set(name, value.join('='));
  }
  return response;
}

// The first form of a page: its address, and its fields as this person fills them in.
function firstForm(page, url) {
  const form = page.match(/<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/);
  if (!form) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of form[2].matchAll(/<(?:input|button)[^>]*>/g)) {
    const of = (name) => input.match(new RegExp(`${name}="([^"]*)"`))?.[1];
    if (!of('name')) continue;
    const typed = { login: NAME, password: 'any' };
    fields.set(of('name'), typed[of('name')] ?? of('value') ?? '');
  }
  return { url: new URL(form[1], url), fields };
}

let [url, fields] = [new URL(process.argv[2]), undefined];
const home = url.origin;
for (let step = 0; step < STEPS; step += 1) {
  const response = await request(url, fields);
  fields = undefined;
  const location = response.headers.get('location');
  const page = await response.text();
  if (location) {
    url = new URL(location, url);
    continue;
  }
  if (!response.ok) throw new Error(`${url}: ${response.status} ${page}`);
  if (url.origin !== home) process.exit(0);
  const form = firstForm(page, url);
  if (!form) process.exit(0);
  ({ url, fields } = form);
}
throw new Error('the sign-in does not end');
