import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { SmtpFailure } from '../core/smtp-outcome.js';
import type { ComposedMessage, Millis, RandomSource } from '../core/types.js';
import { judgeFailure } from '../core/verdict.js';
import type { Claim, Settlement } from '../store/claim-types.js';
import type { Store } from '../store/store.js';
import { explainFailure } from './explain-failure.js';
import type { Lane } from './lane.js';
import { composeMime } from './mime.js';
import { failureOf, releaseOf, settlementOf } from './settlement.js';

/** What a delivery works with. */
export interface DeliveryOptions {
  store: Store;
  /** Unix milliseconds. */
  now(): Millis;
  random: RandomSource;
  log: Log;
  /** Whether the daemon is ending: an outcome that cannot be written is not waited for longer then. */
  isStopping(): boolean;
}

const SETTLE_RETRY_MS = 1000;

/** Thrown in place of the mark when a newer claim has the message: its body must not go out. */
class ClaimLost extends Error {}

/** The way of one claimed message: composed, sent over its lane, judged, and its outcome written down. */
export class Delivery {
  readonly #options: DeliveryOptions;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /**
   * Sends one claimed message and settles it; never rejects.
   *
   * @returns How the claim ended; undefined when a newer one has the message.
   */
  async deliver(lane: Lane, claim: Claim): Promise<Settlement['next']['kind'] | undefined> {
    const { log } = this.#options;
    let settlement: Settlement;
    try {
      settlement = await this.#attempt(lane, claim);
    } catch (error) {
      if (error instanceof ClaimLost) return undefined;
      // Nothing may spin on a poison message: what cannot be explained ends it, and says so.
      log.error(`Message '${claim.id}' of tenant '${claim.tenantId}' failed unexpectedly`, { err: error });
      settlement = failureOf(
        claim,
        'The message could not be sent because of an internal error; see the log.',
      );
    }
    await this.#settle(claim, settlement);
    return settlement.next.kind;
  }

  async #attempt(lane: Lane, claim: Claim): Promise<Settlement> {
    const { store, now, random, log } = this.#options;
    const pool = lane.pool;
    if (pool === undefined) return releaseOf(claim, null);
    const bytes = await contentOf(claim);
    const envelope = { from: claim.envelopeFrom, to: claim.recipients.map(({ address }) => address) };
    const mark = async (): Promise<void> => {
      if (!(await store.claims.markHandedOver(claim.pk, claim.claim))) throw new ClaimLost();
    };
    try {
      const outcome = await pool.send(envelope, bytes, mark);
      if (pool === lane.pool && lane.works()) {
        log.info(`Account '${lane.account.id}' of tenant '${lane.tenantId}' works again`);
      }
      // What went through a connection of before says nothing about the account as it is now.
      if (pool === lane.pool) this.#noteVerifiedTls(lane);
      return settlementOf(claim, outcome, { now: now(), random, server: lane.account });
    } catch (error) {
      if (error instanceof MailProxyError && error.code === 'cancelled') return releaseOf(claim, null);
      if (error instanceof MailProxyError && error.code === 'store_unavailable')
        return releaseOf(claim, error.message);
      if (!(error instanceof SmtpFailure) || judgeFailure(error).kind !== 'account-trouble') throw error;
      const reason = explainFailure(error, lane.account);
      // Trouble with a password that was changed meanwhile says nothing about the new one.
      if (pool === lane.pool && lane.trouble(now(), random)) {
        log.warn(`Account '${lane.account.id}' of tenant '${lane.tenantId}' waits: ${reason}`);
      }
      return releaseOf(claim, reason);
    }
  }

  /** Once for each version of an account that has delivered over verified TLS. */
  #noteVerifiedTls(lane: Lane): void {
    const { account, credentialVersion } = lane;
    if (account.tls === 'none' || !account.tlsVerify || account.verifiedTlsAt !== null) return;
    const { now, store, log } = this.#options;
    lane.account = { ...account, verifiedTlsAt: now() };
    // Beside the delivery: that it cannot be noted says nothing about the message.
    store.accounts
      .noteVerifiedTls(lane.accountPk, credentialVersion, now())
      .catch((error: unknown) => log.error('Verified TLS could not be noted', { err: error }));
  }

  /** Writes the result, however long the disk needs: a known outcome is never dropped while this process lives. */
  async #settle(claim: Claim, settlement: Settlement): Promise<void> {
    const { store, now, log } = this.#options;
    for (let told = false; ; told = true) {
      try {
        if (await store.claims.settle(settlement, now())) logOutcome(log, claim, settlement);
        return;
      } catch (error) {
        if (!told) log.error(`The outcome of message '${claim.id}' waits to be written`, { err: error });
        if (this.#options.isStopping() && told) return;
        // Only the disk's trouble passes by itself. Anything else ends with the lease, and the message is recovered.
        if (!(error instanceof MailProxyError) || error.code !== 'store_unavailable') return;
        await new Promise((resolve) => setTimeout(resolve, SETTLE_RETRY_MS));
      }
    }
  }
}

async function contentOf(claim: Claim): Promise<Buffer> {
  if (claim.contentKind === 'raw') return claim.content;
  return await composeMime(JSON.parse(claim.content.toString('utf8')) as ComposedMessage);
}

function logOutcome(log: Log, claim: Claim, { next }: Settlement): void {
  const message = `Message '${claim.id}' of tenant '${claim.tenantId}'`;
  switch (next.kind) {
    case 'final':
      log.debug(`${message} is settled`);
      break;
    case 'error':
      log.warn(`${message} ended in error: ${next.error}`);
      break;
    case 'retry':
      log.info(`${message} is tried again later: ${next.error}`);
      break;
    case 'uncertain':
      log.warn(`${message} is uncertain: ${next.error}`);
      break;
    case 'release':
      break;
  }
}
