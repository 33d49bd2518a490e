// A real OpenID provider for tests: oidc-provider, a page to sign in on, and a door for tests at /control.
//
// Accounts, the client and the port come as JSON in the environment's PROVIDER. A line "ready" on standard output
// says that it listens. POST /control changes what it does from then on:
//   accounts  replaces the accounts ({subject: {email, email_verified, amr, acr}})
//   rotate    true: new signing keys, the old ones are gone
//   lie       how the next ID tokens differ from the true ones ({claims, drop, alg, key}); null: tell the truth
//   user      how user info differs from the truth; null: not at all
//   fail      an HTTP status that the token endpoint answers; "flood": two megabytes; null: as usual
import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { CompactSign, base64url, decodeJwt, decodeProtectedHeader } from 'jose';
import { Provider } from 'oidc-provider';

const settings = JSON.parse(process.env.PROVIDER);
const issuer = `http://127.0.0.1:${settings.port}`;
let accounts = settings.accounts;
let lie = null;
let fail = null;
let user = null;
let keys;
let handle;
let provider;

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { private: privateKey, jwk: { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' } };
}

function start() {
  keys = newKey();
  provider = new Provider(issuer, {
    clients: [{
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: [settings.redirect_uri],
      token_endpoint_auth_method: settings.client_auth,
    }],
    jwks: { keys: [keys.jwk] },
    cookies: { keys: ['cookie-key-of-tests-only'] },
    claims: { openid: ['sub', 'amr'], email: ['email', 'email_verified'] },
    acrValues: ['urn:mfa'],
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600 },
    findAccount: (_, id) => accounts[id] && {
      accountId: id,
      claims: () => ({ sub: id, email: accounts[id].email, email_verified: accounts[id].email_verified }),
    },
    // The agency's own client: nobody is asked for consent.
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid email');
      await grant.save();
      return grant;
    },
  });
  provider.use(async (ctx, next) => {
    if (fail && ctx.path === '/token') {
      ctx.status = fail === 'flood' ? 200 : fail;
      ctx.body = fail === 'flood' ? 'x'.repeat(2 ** 21) : 'no';
      return;
    }
    await next();
    if (user && ctx.path === '/me') ctx.body = { ...ctx.body, ...user };
    if (lie && ctx.path === '/token' && ctx.body?.id_token) {
      ctx.body = { ...ctx.body, id_token: await forged(ctx.body.id_token) };
    }
  });
  handle = provider.callback();
}

async function forged(token) {
  const header = { ...decodeProtectedHeader(token), alg: lie.alg ?? 'RS256' };
  const claims = { ...decodeJwt(token), ...lie.claims };
  for (const name of lie.drop ?? []) delete claims[name];
  const text = JSON.stringify(claims);
  const unsigned = `${base64url.encode(JSON.stringify(header))}.${base64url.encode(text)}`;
  if (header.alg === 'none') return `${unsigned}.`;
  if (header.alg === 'HS256') {
    // The old confusion of algorithms: what everybody may read serves as the key.
    const secret = lie.key === 'client' ? settings.client_secret : JSON.stringify({ n: keys.jwk.n, e: keys.jwk.e });
    return `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`;
  }
  const signer = lie.key === 'other' ? newKey().private : keys.private;
  return new CompactSign(new TextEncoder().encode(text)).setProtectedHeader(header).sign(signer);
}

async function bodyOf(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

async function interact(request, response, uid) {
  if (request.method === 'GET') {
    const { prompt } = await provider.interactionDetails(request, response);
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Provider</title>
      <h1>Provider: ${prompt.name}</h1><form method="post" action="/interaction/${uid}"><label>Account <input name="account"></label>
      <button name="answer" value="yes">Sign in here</button><button name="answer" value="no">Refuse</button></form>`);
    return;
  }
  const form = new URLSearchParams(await bodyOf(request));
  const account = form.get('account');
  const { amr, acr } = accounts[account] ?? {};
  await provider.interactionFinished(request, response, form.get('answer') === 'yes' && accounts[account]
    ? { login: { accountId: account, amr, acr } }
    : { error: 'access_denied', error_description: 'nobody wants to' });
}

async function control(request, response) {
  const change = JSON.parse(await bodyOf(request));
  if ('accounts' in change) accounts = change.accounts;
  if ('lie' in change) lie = change.lie;
  if ('user' in change) user = change.user;
  if ('fail' in change) fail = change.fail;
  if (change.rotate) start();
  response.end('{}');
}

start();
createServer((request, response) => {
  const [, uid] = /^\/interaction\/([\w-]+)$/.exec(request.url) ?? [];
  const done = request.url === '/control' ? control(request, response)
    : uid ? interact(request, response, uid) : handle(request, response);
  Promise.resolve(done).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
}).listen(settings.port, '127.0.0.1', () => console.log('ready'));
