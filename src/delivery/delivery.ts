import { MailProxyError } from '../core/errors.js';
import { failPoint } from '../core/fail-points.js';
import type { Log } from '../core/log.js';
import { type ReplyClass, replyClassOf } from '../core/reply-class.js';
import { SmtpFailure } from '../core/smtp-outcome.js';
import type { Millis, RandomSource } from '../core/types.js';
import { judgeFailure } from '../core/verdict.js';
import type { Claim, Settled, Settlement } from '../store/claim-types.js';
import type { Store } from '../store/store.js';
import type { DeliveryEvents } from './delivery-events.js';
import { explainFailure } from './explain-failure.js';
import type { Lane } from './lane.js';
import type { Order } from './sender.js';
import { failureOf, releaseOf, settlementOf } from './settlement.js';

/** What a delivery works with. */
export interface DeliveryOptions {
  store: Store;
  /** Unix milliseconds. */
  now(): Millis;
  random: RandomSource;
  log: Log;
  /** Told what became of messages. */
  events: DeliveryEvents;
  /** Whether the daemon is ending: an outcome that cannot be written is not waited for longer then. */
  isStopping(): boolean;
  /** Called when the state of a lane's breaker changed. */
  onBreaker(lane: Lane): void;
}

const SETTLE_RETRY_MS = 1000;

/** How an attempt ended: what is to be written down, and what the server answered if it was asked. */
interface Attempt {
  settlement: Settlement;
  replyClass?: ReplyClass | undefined;
}

/** Thrown in place of the mark when the message was taken back, or a newer claim has it: its body must not go out. */
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
   * @param isCommitted - Whether the claim is on disk, for one that may yet be undone: no body goes out before it is known, and nothing is
   * written down of a claim that never was.
   * @param onFree - Called once, when its place on a connection may be given to another message: its outcome is then on
   * its way to the disk, in front of any mark of that other message.
   * @returns How the claim ended; undefined when it was lost.
   */
  async deliver(
    lane: Lane,
    claim: Claim,
    onFree: () => void,
    isCommitted?: Promise<boolean>,
  ): Promise<Settlement['next']['kind'] | undefined> {
    const { log } = this.#options;
    let attempt: Attempt;
    try {
      attempt = await this.#attempt(lane, claim, isCommitted);
    } catch (error) {
      if (error instanceof ClaimLost) {
        onFree();
        return undefined;
      }
      // Nothing may spin on a poison message: what cannot be explained ends it, and says so.
      log.error(`Message '${claim.id}' of tenant '${claim.tenantId}' failed unexpectedly`, { err: error });
      const reason = 'The message could not be sent because of an internal error; see the log.';
      attempt = { settlement: failureOf(claim, reason) };
    }
    if ((await isCommitted) === false) {
      onFree();
      return undefined;
    }
    failPoint('answered');
    await this.#settle(claim, attempt, lane, onFree);
    failPoint('settled');
    return attempt.settlement.next.kind;
  }

  async #attempt(lane: Lane, claim: Claim, isCommitted?: Promise<boolean>): Promise<Attempt> {
    const { store, now, random, log, onBreaker } = this.#options;
    const pool = lane.pool;
    if (pool === undefined) return { settlement: releaseOf(claim, null) };
    const order: Order = {
      envelope: { from: claim.envelopeFrom, to: claim.recipients.map(({ address }) => address) },
      kind: claim.contentKind,
      content: claim.content,
      place: [claim.priority, claim.dueAt, claim.pk],
      isHurried: isCommitted !== undefined,
    };
    const mark = async (): Promise<void> => {
      if ((await isCommitted) === false) throw new ClaimLost();
      failPoint('before-mark');
      if (!(await store.claims.markHandedOver(claim.pk, claim.claim))) throw new ClaimLost();
      failPoint('marked');
    };
    const began = performance.now();
    try {
      const outcome = await pool.send(order, mark);
      if (pool === lane.pool && lane.works(performance.now() - began)) {
        onBreaker(lane);
        log.info(`Account '${lane.account.id}' of tenant '${lane.tenantId}' works again`);
      }
      // What went through a connection of before says nothing about the account as it is now.
      if (pool === lane.pool) this.#noteVerifiedTls(lane);
      const settlement = settlementOf(claim, outcome, { now: now(), random, server: lane.account });
      return { settlement, replyClass: replyClassOf(outcome) };
    } catch (error) {
      if (error instanceof MailProxyError && error.code === 'cancelled')
        return { settlement: releaseOf(claim, null) };
      if (error instanceof MailProxyError && error.code === 'store_unavailable')
        return { settlement: releaseOf(claim, error.message) };
      if (!(error instanceof SmtpFailure) || judgeFailure(error).kind !== 'account-trouble') throw error;
      const reason = explainFailure(error, lane.account);
      // Trouble with a password that was changed meanwhile says nothing about the new one.
      if (pool === lane.pool && lane.trouble(now(), random, reason)) {
        onBreaker(lane);
        log.warn(`Account '${lane.account.id}' of tenant '${lane.tenantId}' waits: ${reason}`);
      }
      return { settlement: releaseOf(claim, reason), replyClass: 'connection' };
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

  /**
   * Writes the result, however long the disk needs: a known outcome is never dropped while this process lives. While the
   * disk fails the message keeps its place: no more outcomes than connections are ever unwritten.
   */
  async #settle(claim: Claim, attempt: Attempt, lane: Lane, onFree: () => void): Promise<void> {
    const { store, now, log } = this.#options;
    const written = store.claims.settle(attempt.settlement, now());
    onFree();
    try {
      this.#tell(claim, attempt, await written);
      return;
    } catch (error) {
      log.error(`The outcome of message '${claim.id}' waits to be written`, { err: error });
      if (!isDiskTrouble(error)) return;
    }
    lane.active++;
    await this.#settleLater(claim, attempt);
    lane.active--;
  }

  async #settleLater(claim: Claim, attempt: Attempt): Promise<void> {
    const { store, now, isStopping } = this.#options;
    for (let isLast = false; !isLast; ) {
      isLast = isStopping();
      await new Promise((resolve) => setTimeout(resolve, SETTLE_RETRY_MS));
      try {
        this.#tell(claim, attempt, await store.claims.settle(attempt.settlement, now()));
        return;
      } catch (error) {
        if (!isDiskTrouble(error)) return;
      }
    }
  }

  /** What was dropped since a newer claim has the message is nobody's news. */
  #tell(claim: Claim, { settlement, replyClass }: Attempt, as: Settled | false): void {
    if (as === false) return;
    const { events, log, now } = this.#options;
    events.settled(claim.accountPk, { as, replyClass, sinceDue: now() - claim.firstDueAt });
    logOutcome(log, claim, settlement);
  }
}

/** Only the disk's trouble passes by itself. Anything else ends with the lease, and the message is recovered. */
function isDiskTrouble(error: unknown): boolean {
  return error instanceof MailProxyError && error.code === 'store_unavailable';
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
