import { REPLY_CLASSES } from '../core/reply-class.js';
import type { DeliveryEvents, SettledClaim } from '../delivery/delivery-events.js';
import type { AccountName } from '../store/figures.js';
import { Distribution } from './distribution.js';
import { counter, type Family } from './family.js';

/** Of one account since the daemon began. */
interface AccountCounts {
  sent: number;
  errors: number;
  deferred: number;
  limited: number;
}

const NOTHING: Readonly<AccountCounts> = { sent: 0, errors: 0, deferred: 0, limited: 0 };
/** Seconds: from a message that goes at once to one that waited out its last attempts. */
const SEND_BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400];
const TIME_TO_SEND = 'gmp_time_to_send_seconds';

/**
 * Counts what became of messages in plain numbers, by the store's own key of the account: it is never given out again, so that
 * accounts of equal ids never merge. Names are put to it when it is read.
 */
export class DeliveryCounters implements DeliveryEvents {
  readonly #byAccount = new Map<number, AccountCounts>();
  readonly #attempts = new Map<string, number>(REPLY_CLASSES.map((of) => [of, 0]));
  readonly #timeToSend = new Distribution(SEND_BOUNDS);

  settled(accountPk: number, { as, replyClass, sinceDue }: SettledClaim): void {
    if (replyClass !== undefined) this.#attempts.set(replyClass, (this.#attempts.get(replyClass) ?? 0) + 1);
    const counts = this.#of(accountPk);
    if (as === 'sent') {
      counts.sent++;
      this.#timeToSend.observe(Math.max(0, sinceDue / 1000));
    } else if (as === 'error') counts.errors++;
    else if (as === 'deferred') counts.deferred++;
  }

  expired(accountPk: number): void {
    this.#of(accountPk).errors++;
  }

  limited(accountPk: number, rejected: number): void {
    const counts = this.#of(accountPk);
    counts.limited += Math.max(1, rejected);
    counts.errors += rejected;
  }

  /** Accounts that anything was counted for. */
  get accounts(): number[] {
    return [...this.#byAccount.keys()];
  }

  /** What was counted of the accounts that have a name; of the others nothing is kept, since they are gone. */
  families(names: ReadonlyMap<number, AccountName>): Family[] {
    for (const pk of this.#byAccount.keys()) if (!names.has(pk)) this.#byAccount.delete(pk);
    // Those that nothing was counted of yet begin at 0: what appears with 1 is no increase to Prometheus.
    const named = [...names].map(([pk, { tenantId, accountId }]) => ({
      labels: { tenant_id: tenantId, account_id: accountId },
      counts: this.#byAccount.get(pk) ?? NOTHING,
    }));
    const of = (what: keyof AccountCounts) =>
      named.map(({ labels, counts }) => ({ labels, value: counts[what] }));
    const attempts = [...this.#attempts].map(([reply_class, value]) => ({ labels: { reply_class }, value }));
    return [
      counter('gmp_sent_total', 'Messages that were accepted for all their recipients.', of('sent')),
      counter('gmp_errors_total', 'Messages that ended in error.', of('errors')),
      counter(
        'gmp_deferred_total',
        'Times that an attempt put a message off to be tried again.',
        of('deferred'),
      ),
      counter(
        'gmp_rate_limited_total',
        'Times that a rate limit kept ready messages back, and messages that one ended.',
        of('limited'),
      ),
      counter(
        'gmp_attempts_total',
        'Attempts to hand a message over, by what the server answered.',
        attempts,
      ),
      {
        name: TIME_TO_SEND,
        help: 'Seconds from when a message was first due until it was accepted, retries included.',
        type: 'histogram',
        values: this.#timeToSend.samples(TIME_TO_SEND),
      },
    ];
  }

  #of(accountPk: number): AccountCounts {
    let counts = this.#byAccount.get(accountPk);
    if (counts === undefined) {
      counts = { ...NOTHING };
      this.#byAccount.set(accountPk, counts);
    }
    return counts;
  }
}
