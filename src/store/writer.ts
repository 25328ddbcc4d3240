import type { Statement } from 'better-sqlite3';
import { MailProxyError } from '../core/errors.js';
import { asStoreError, type Db, isBusy } from './database.js';

/** How a job wants to be run. */
interface JobOptions {
  /**
   * It may be run again after it was undone, since what it changes outside the database comes out the same: then it needs no savepoint
   * of its own, which costs as much as a statement that changes a row.
   */
  isRepeatable?: boolean;
  /** A connection waits for it: it is short and goes in front. It has to be repeatable. */
  isUrgent?: boolean;
}

/** One caller's work, and how it is told what became of it. */
interface Job {
  work: () => unknown;
  isRepeatable: boolean;
  resolve: (value: never) => void;
  reject: (reason: unknown) => void;
}

const MAX_JOBS_PER_COMMIT = 256;
/** A transaction that took this long takes no more jobs: the event loop has others to serve. */
const LONGEST_MS = 15;
/** While something urgent is in it others may take this long, or as long as a commit does: with less they would cost more commits than they save time. */
const LEAST_BESIDE_URGENT_MS = 1;
const BUSY_RETRY_MS = 4;
const BUSY_GIVE_UP_MS = 5000;

/**
 * The one way to change the database. Callers queue; one `BEGIN IMMEDIATE` takes all that wait, and each is answered only after the
 * COMMIT: nothing is acknowledged that a power cut could take back. One bad job never undoes its neighbours: each has a savepoint of
 * its own, or all may be run again without it. A lock held by another process is waited for without blocking
 * the event loop.
 */
export class Writer {
  readonly #db: Db;
  readonly #prepared = new Map<string, Statement<[]>>();
  #queue: Job[] = [];
  #urgent: Job[] = [];
  #scheduled = false;
  #busySince: number | undefined;
  #lastCommitMs = 0;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Runs `work` inside the next transaction.
   *
   * @param work - Synchronous; whatever it throws undoes its own changes alone and rejects the returned promise.
   * @throws MailProxyError `store_unavailable` when the transaction could not be committed.
   */
  run<T>(work: () => T, { isUrgent = false, isRepeatable = isUrgent }: JobOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      (isUrgent ? this.#urgent : this.#queue).push({ work, isRepeatable, resolve, reject });
      this.#schedule(0);
    });
  }

  #schedule(delay: number): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const flush = (): void => {
      this.#scheduled = false;
      this.#flush();
    };
    if (delay === 0) setImmediate(flush);
    else setTimeout(flush, delay);
  }

  #flush(): void {
    if (this.#urgent.length + this.#queue.length === 0) return;
    try {
      this.#execute('BEGIN IMMEDIATE');
    } catch (error) {
      this.#beginFailed(error);
      return;
    }
    this.#busySince = undefined;
    const jobs: Job[] = [];
    let done: Array<() => void>;
    try {
      done = this.#runWithoutSavepoints(jobs) ?? this.#runInSavepoints(jobs);
      const ready = performance.now();
      this.#execute('COMMIT');
      this.#lastCommitMs = performance.now() - ready;
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      const reason = asStoreError(error, this.#db.name);
      for (const job of jobs) job.reject(reason);
      this.#schedule(0);
      return;
    }
    for (const answer of done) answer();
    if (this.#urgent.length + this.#queue.length > 0) this.#schedule(0);
  }

  /** Takes jobs for one transaction: what is urgent, then others in their order, one at least, as long as it is short. */
  *#take(): Generator<Job> {
    const began = performance.now();
    const beside =
      this.#urgent.length > 0 ? Math.max(LEAST_BESIDE_URGENT_MS, this.#lastCommitMs) : LONGEST_MS;
    for (let taken = 0; taken < MAX_JOBS_PER_COMMIT && performance.now() < began + LONGEST_MS; taken++) {
      const job = this.#urgent.shift();
      if (job === undefined) break;
      yield job;
    }
    const enoughAt = began + Math.min(beside, LONGEST_MS);
    for (let taken = 0; taken < MAX_JOBS_PER_COMMIT; taken++) {
      const job = this.#queue.shift();
      if (job === undefined) return;
      yield job;
      if (performance.now() >= enoughAt) return;
    }
  }

  /**
   * Runs jobs without savepoints. A job that is alone is undone with its transaction; several are, too, when one of them fails, and
   * are then run again.
   *
   * @param taken - Gets what was taken.
   * @returns Undefined when they have to be run in savepoints: nothing is done then.
   */
  #runWithoutSavepoints(taken: Job[]): Array<() => void> | undefined {
    const isAlone = this.#urgent.length + this.#queue.length === 1;
    const mayBeTaken = this.#queue.slice(0, MAX_JOBS_PER_COMMIT);
    if (!isAlone && !mayBeTaken.every(({ isRepeatable }) => isRepeatable)) return undefined;
    const done: Array<() => void> = [];
    try {
      for (const job of this.#take()) {
        taken.push(job);
        const value = job.work() as never;
        done.push(() => job.resolve(value));
      }
      return done;
    } catch (error) {
      if (isAlone || !this.#db.inTransaction) throw error;
      this.#db.exec('ROLLBACK');
      this.#queue.unshift(...taken.splice(0));
      this.#execute('BEGIN IMMEDIATE');
      return undefined;
    }
  }

  #runInSavepoints(taken: Job[]): Array<() => void> {
    const done: Array<() => void> = [];
    for (const job of this.#take()) {
      taken.push(job);
      done.push(this.#runInSavepoint(job));
    }
    return done;
  }

  #runInSavepoint(job: Job): () => void {
    this.#execute('SAVEPOINT job');
    try {
      const value = job.work() as never;
      this.#execute('RELEASE job');
      return () => job.resolve(value);
    } catch (error) {
      // A full disk or an I/O error may have ended the whole transaction already: then none of the jobs is done.
      if (!this.#db.inTransaction) throw error;
      this.#db.exec('ROLLBACK TO job');
      this.#db.exec('RELEASE job');
      const reason = asStoreError(error, this.#db.name);
      return () => job.reject(reason);
    }
  }

  /** Run with every message: a statement that is prepared once costs a tenth of one that is read again each time. */
  #execute(statement: string): void {
    let prepared = this.#prepared.get(statement);
    if (prepared === undefined) {
      prepared = this.#db.prepare<[]>(statement);
      this.#prepared.set(statement, prepared);
    }
    prepared.run();
  }

  #beginFailed(error: unknown): void {
    if (isBusy(error)) {
      this.#busySince ??= Date.now();
      if (Date.now() - this.#busySince < BUSY_GIVE_UP_MS) {
        this.#schedule(BUSY_RETRY_MS);
        return;
      }
      this.#busySince = undefined;
    }
    const reason = this.#db.open
      ? asStoreError(error, this.#db.name)
      : new MailProxyError('store_unavailable', 'The database is closed: the server is stopping.');
    for (const job of [...this.#urgent.splice(0), ...this.#queue.splice(0)]) job.reject(reason);
  }
}
