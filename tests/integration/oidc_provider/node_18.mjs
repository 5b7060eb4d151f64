// What Node.js 18, which Debian 12 and Ubuntu 24.04 have, lacks of what oidc-provider, jose and oauth4webapi take for
// granted.
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
URL.parse ??= (url, base) => {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
};
