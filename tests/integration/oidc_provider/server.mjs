// An OpenID provider for tests: `node server.mjs MODULES`, where MODULES is the node_modules that holds oidc-provider.
// Prints its issuer when it listens, and ends when its standard input does.
import { generateKeyPairSync, webcrypto } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// What Node.js 18, which Debian 12 and Ubuntu 24.04 have, lacks of what oidc-provider and jose take for granted.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
URL.parse ??= (url, base) => {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
};

const [modules, issuer] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(join(modules, 'oidc-provider', 'lib', 'index.js')).href);

function key(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig' };
}

const configuration = {
  clients: [
    {
      client_id: 'my-client',
      client_secret: 'the-secret-of-my-client',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  cookies: { keys: ['the-cookies-of-the-tests'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // The resource's last part says how its access tokens are signed.
      getResourceServerInfo: (context, resource) => ({
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        audience: resource,
        jwt: { sign: { alg: resource.split('/').at(-1) } },
        scope: 'read write',
      }),
    },
  },
  jwks: { keys: [key('ES256', 'ec', { namedCurve: 'P-256' }), key('RS256', 'rsa', { modulusLength: 2048 })] },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer ?? address, configuration);
  server.on('request', provider.callback());
  console.log(`Listening at ${address}`);
});
process.stdin.on('end', () => process.exit()).resume();
