import type { ContentKind, Priority } from '../core/types.js';

/** One account with messages due, and what it may do now. */
export interface Lane {
  accountPk: number;
  tenantId: string;
}

/** A message that this process alone may send until the lease ends. */
export interface Claim {
  pk: number;
  /** The fencing number: results are written only while it is still the row's. */
  claim: number;
  tenantId: string;
  id: string;
  accountPk: number;
  priority: Priority;
  envelopeFrom: string;
  /** Recipients that have no final outcome yet. */
  recipients: Array<{ position: number; address: string }>;
  contentKind: ContentKind;
  content: Buffer;
  retryCount: number;
  dueAt: number;
  expiresAt: number;
  createdAt: number;
  /** When it was due for the first time, before any attempt put it off. */
  firstDueAt: number;
}

/** How much content claims may still bring into memory; each claim takes its share from it. */
export interface ByteBudget {
  /** Bytes. One message is claimed even if it is larger, when nothing else is in memory. */
  left: number;
  isWhole: boolean;
}

/** How a claim is made. */
export interface ClaimOptions {
  limit: number;
  /** Name of the process that claims. */
  owner: string;
  now: number;
  leaseMs: number;
  /** What contents may be loaded; claims made together share one. @defaultValue no bound */
  budget?: ByteBudget;
}

/** What a claim brought: messages, or when a rate limit lets the lane go on, and what that limit rejected. */
export interface ClaimResult {
  claims: Claim[];
  /** Whether any limit counts this lane's claims. */
  isLimited: boolean;
  limitedUntil?: number;
  /** Whether that limit kept messages back that were ready. */
  isHeldBack?: boolean;
  rejected: number;
  /** Messages of suspended batches that were met and put aside. */
  parked: number;
  /** Whether ready messages may be left. */
  more: boolean;
  /** Of the configuration that the claim was made under. */
  generation: number;
}

/** What the server said of one recipient. */
export interface RecipientResult {
  position: number;
  state: 'pending' | 'sent' | 'error';
  code: number | null;
  reply: string | null;
}

/** How a claim ends. */
export interface Settlement {
  pk: number;
  claim: number;
  recipients: RecipientResult[];
  next: /** Every recipient has its outcome now: `sent` if all were accepted, else `error` naming the refused. */
    | { kind: 'final' }
    /** Given up: what is still pending ends in error. */
    | { kind: 'error'; error: string }
    | { kind: 'retry'; dueAt: number; error: string }
    /**
     * The body was being handed over and no final reply came: the tenant's policy decides. With `expired` no time is left
     * to send it again: under `retry` it then ends in error.
     */
    | { kind: 'uncertain'; dueAt: number | 'expired'; error: string }
    /** Nothing was offered to the server: the charge is given back, no attempt is counted, its place in the queue is kept. */
    | { kind: 'release'; error: string | null };
}

/** What a settled claim made of its message; `deferred` is tried again later, `released` was never offered to the server. */
export type Settled = 'sent' | 'error' | 'deferred' | 'uncertain' | 'released';

/** What recovery found. */
export interface Recovered {
  freed: number;
  retried: number;
  held: number;
}
