import type { Log } from '../core/log.js';
import type { Millis, Priority } from '../core/types.js';
import type { Keyring } from '../crypto/keyring.js';
import type { OpenOptions } from '../delivery/smtp-session.js';
import type { Store } from '../store/store.js';

/** Everything that the HTTP layer needs from the process that it runs in. */
export interface AppDeps {
  store: Store;
  /** The keys at hand now; they may be replaced while the process runs. */
  keyring: () => Keyring;
  /** Unix milliseconds. */
  now(): Millis;
  /** When the process began to serve, Unix milliseconds. */
  startedAt: Millis;
  version: string;
  /** Whether messages are being sent. */
  schedulerActive(): boolean;
  /** Says that there may be something to do: called after every change that is committed. */
  wake(): void;
  /** Does what is due now, whatever it waits for: of one tenant, or of all when left out. */
  runNow(tenantId?: string): void;
  /** Priority of messages when neither they nor their batch name one. */
  defaultPriority: Priority;
  log: Log;
  /** Largest request body in bytes. @defaultValue 16 MiB */
  bodyLimit?: number;
  /** Networks whose `X-Real-IP` is believed, as addresses or CIDR. @defaultValue the loopback networks */
  trustedProxies?: readonly string[];
  /** How an account is tried: EHLO name and timeouts. */
  probe?: Omit<OpenOptions, 'signal'>;
}
