import type { Log } from '../core/log.js';
import type { Millis, Priority } from '../core/types.js';
import type { Keyring } from '../crypto/keyring.js';
import type { DestinationGuard } from '../delivery/destination-guard.js';
import type { OpenOptions } from '../delivery/smtp-session.js';
import type { Metrics } from '../metrics/metrics.js';
import type { AuthAudit } from '../services/auth-audit.js';
import type { Store } from '../store/store.js';

/** Everything that the HTTP layer needs from the process that it runs in. */
export interface AppDeps {
  store: Store;
  /** The keys at hand now; they may be replaced while the process runs. */
  keyring: () => Keyring;
  /** Reads the sources of keys again: one may have been added since. */
  reloadKeys(): Promise<void>;
  /** Where logins are written down. */
  authAudit: Pick<AuthAudit, 'failed' | 'succeeded'>;
  /** Unix milliseconds. */
  now(): Millis;
  /** When the process began to serve, Unix milliseconds. */
  startedAt: Millis;
  version: string;
  /** Whether messages are being sent. */
  schedulerActive(): boolean;
  /** Says that there may be something to send. */
  wake(): void;
  /** Says that something was changed that is audited, and that there may be something to send. */
  changed(): void;
  /** Does what is due now, whatever it waits for: of one tenant, or of all when left out. */
  runNow(tenantId?: string): void;
  /** Priority of messages when neither they nor their batch name one. */
  defaultPriority: Priority;
  /** How long rows of final messages are kept. */
  retention: Millis;
  log: Log;
  /** What is counted, and told whoever scrapes. */
  metrics: Pick<Metrics, 'requestDone' | 'scrape'>;
  /** Largest request body in bytes. @defaultValue 16 MiB */
  bodyLimit?: number;
  /** Networks whose `X-Real-IP` is believed, as addresses or CIDR. @defaultValue the loopback networks */
  trustedProxies?: readonly string[];
  /** For destinations that tenants chose. */
  guard: DestinationGuard;
  /** How an account is tried: EHLO name and timeouts. */
  probe?: Omit<OpenOptions, 'signal'>;
}
