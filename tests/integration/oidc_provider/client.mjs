// A client that knows an API and its own name and secret, and nothing else: `node client.mjs MODULES OPTIONS`, where
// MODULES is the node_modules that holds oauth4webapi, and OPTIONS a JSON object: `resource`, the API's identifier,
// `url`, what is asked for there, `client_id` and `client_secret`. Prints, as JSON, what it found on its way.
import './node_18.mjs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, options] = process.argv.slice(2);
const { resource, url, client_id, client_secret } = JSON.parse(options);
const oauth = await import(pathToFileURL(join(modules, 'oauth4webapi', 'build', 'index.js')).href);
const insecure = { [oauth.allowInsecureRequests]: true };

function ask(token) {
  return oauth.protectedResourceRequest(token, 'GET', new URL(url), undefined, undefined, insecure);
}

async function challenged() {
  try {
    await ask('nobody-has-issued-this');
  } catch (error) {
    if (error instanceof oauth.WWWAuthenticateChallengeError) {
      return { status: error.status, challenges: error.cause };
    }
    throw error;
  }
  throw new Error('let in without a token');
}

const anonymous = await fetch(url);
const { status, challenges } = await challenged();
const [challenge] = challenges;
const told = await fetch(challenge.parameters.resource_metadata);
const metadata = await oauth.processResourceDiscoveryResponse(new URL(resource), told);
const looked = await oauth.resourceDiscoveryRequest(new URL(resource), insecure);

const issuer = new URL(metadata.authorization_servers[0]);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));

const client = { client_id };
const granted = await oauth.clientCredentialsGrantRequest(
  server,
  client,
  oauth.ClientSecretBasic(client_secret),
  { resource },
  insecure,
);
const token = await oauth.processClientCredentialsResponse(server, client, granted);
const answer = await ask(token.access_token);

console.log(
  JSON.stringify({
    anonymous: { challenge: anonymous.headers.get('www-authenticate'), status: anonymous.status },
    answer: { body: await answer.json(), status: answer.status },
    challenges,
    issuer: server.issuer,
    looked_up: looked.url,
    metadata,
    status,
  }),
);
