// An OpenID provider for tests: `node server.mjs MODULES [OPTIONS]`, where MODULES is the node_modules that holds
// oidc-provider, and OPTIONS a JSON object: `issuer` (its address if absent), `port` (0, a free one), `keys`, the private
// JWKs it signs with (new ones if absent), and `prefix`, with which its opaque access tokens begin. Prints its address
// when it listens, and ends when its standard input does.
import './node_18.mjs';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, options = '{}'] = process.argv.slice(2);
const { issuer, port = 0, keys = newKeys(), prefix = '' } = JSON.parse(options);
const { Provider } = await import(pathToFileURL(join(modules, 'oidc-provider', 'lib', 'index.js')).href);

const PERSON = 'urn:example:person';
const SCOPES = 'read write';

function newKeys() {
  return [
    newKey('ES256', 'ec', { namedCurve: 'P-256' }),
    newKey('RS256', 'rsa', { modulusLength: 2048 }),
    newKey('EdDSA', 'ed25519'),
  ];
}

function newKey(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig' };
}

// The last part of a resource says how its access tokens are made, `/ES256` or `/opaque`, and a number after it for how
// many seconds they last; any other is the name of an app.
function resourceServer(resource) {
  const [, audience, seconds] = /^(.*?)(?:\/(\d+))?$/.exec(resource);
  const how = audience.split('/').at(-1);
  const made =
    how === 'opaque'
      ? { accessTokenFormat: 'opaque' }
      : { accessTokenFormat: 'jwt', jwt: { sign: { alg: keys.some(({ alg }) => alg === how) ? how : keys[0].alg } } };
  return { ...made, accessTokenTTL: Number(seconds ?? 300), audience, scope: SCOPES };
}

function client(client_id, client_secret, more) {
  return { client_id, client_secret, grant_types: [], redirect_uris: [], response_types: [], ...more };
}

const configuration = {
  clientDefaults: { id_token_signed_response_alg: keys[0].alg, introspection_signed_response_alg: keys[0].alg },
  clients: [
    client('my-client', 'the-secret-of-my-client', { grant_types: ['client_credentials'] }),
    client('my-frontend', 'the-secret-of-my-frontend', { grant_types: [PERSON, 'refresh_token'] }),
    client('my-signed-frontend', 'the-secret-of-my-signed-frontend', {
      grant_types: [PERSON, 'refresh_token'],
      userinfo_signed_response_alg: keys[0].alg,
    }),
    // Two that ask about tokens; the secrets hold what must be encoded on the way (RFC 6749 section 2.3.1).
    client('my-api', 'the secret: 100% of my+api'),
    client('my-posting-api', 'the secret: 100% of my+posting&api', {
      token_endpoint_auth_method: 'client_secret_post',
    }),
  ],
  cookies: { keys: ['the-cookies-of-the-tests'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true },
    jwtUserinfo: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: (context, resource) => resourceServer(resource) },
    revocation: { enabled: true },
  },
  jwks: { keys },
};

// All the tokens of a person, without the pages on which one signs in.
async function grantPerson(context) {
  const { client, params, provider } = context.oidc;
  const { resource, username: accountId } = params;
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope('openid offline_access');
  if (resource) {
    grant.addResourceScope(resource, SCOPES);
  }
  const granted = { accountId, client, grantId: await grant.save(), gty: PERSON };
  const accessToken = new provider.AccessToken({ ...granted, scope: resource ? 'read' : 'openid' });
  if (resource) {
    accessToken.resourceServer = new provider.ResourceServer(resource, resourceServer(resource));
  }
  const refreshToken = new provider.RefreshToken({ ...granted, resource, scope: 'openid offline_access read' });
  const idToken = new provider.IdToken({ sub: accountId }, { ctx: context });
  idToken.scope = 'openid';
  context.body = {
    access_token: await accessToken.save(),
    expires_in: accessToken.expiration,
    id_token: await idToken.issue({ use: 'idtoken' }),
    refresh_token: await refreshToken.save(),
    token_type: accessToken.tokenType,
  };
}

function beginWithPrefix(model) {
  const { generateTokenId } = model.prototype;
  model.prototype.generateTokenId = function generatePrefixed() {
    return prefix + generateTokenId.call(this);
  };
}

const server = createServer();
server.listen(port, '127.0.0.1', () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer ?? address, configuration);
  [provider.AccessToken, provider.ClientCredentials].forEach(beginWithPrefix);
  provider.registerGrantType(PERSON, grantPerson, ['resource', 'username']);
  server.on('request', provider.callback());
  console.log(`Listening at ${address}`);
});
process.stdin.on('end', () => process.exit()).resume();
