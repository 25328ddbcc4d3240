import type { ClientAuthInput } from './tenant-settings.js';

/** Where reports go to, with the credentials for it in the clear: never logged. */
export interface SyncEndpoint {
  url: string;
  auth: ClientAuthInput;
}
