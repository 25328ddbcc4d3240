import type { Statement } from 'better-sqlite3';
import { MailProxyError } from '../core/errors.js';
import { asStoreError, type Db, isBusy } from './database.js';

/** One caller's work, and how it is told what became of it. */
interface Job {
  work: () => unknown;
  resolve: (value: never) => void;
  reject: (reason: unknown) => void;
}

const MAX_JOBS_PER_COMMIT = 256;
/** A transaction that took this long takes no more jobs: the event loop has others to serve. */
const LONGEST_COMMIT_MS = 15;
const BUSY_RETRY_MS = 4;
const BUSY_GIVE_UP_MS = 5000;

/**
 * The one way to change the database. Callers queue; one `BEGIN IMMEDIATE` takes all that wait, each in a savepoint
 * of its own, and each is answered only after the COMMIT: nothing is acknowledged that a power cut could take back,
 * and one bad job never undoes its neighbours. A lock held by another process is waited for without blocking
 * the event loop.
 */
export class Writer {
  readonly #db: Db;
  readonly #prepared = new Map<string, Statement<[]>>();
  #queue: Job[] = [];
  #scheduled = false;
  #busySince: number | undefined;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Runs `work` inside the next transaction.
   *
   * @param work - Synchronous; whatever it throws undoes its own changes alone and rejects the returned promise.
   * @throws MailProxyError `store_unavailable` when the transaction could not be committed.
   */
  run<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ work, resolve, reject });
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
    if (this.#queue.length === 0) return;
    try {
      this.#say('BEGIN IMMEDIATE');
    } catch (error) {
      this.#beginFailed(error);
      return;
    }
    this.#busySince = undefined;
    const jobs: Job[] = [];
    const done: Array<() => void> = [];
    const enoughAt = performance.now() + LONGEST_COMMIT_MS;
    const isAlone = this.#queue.length === 1;
    try {
      do {
        const job = this.#queue.shift();
        if (job === undefined) break;
        jobs.push(job);
        // A job that is alone is undone with its transaction: a savepoint would keep copies of all it changes.
        done.push(isAlone ? this.#runAlone(job) : this.#runInSavepoint(job));
      } while (!isAlone && jobs.length < MAX_JOBS_PER_COMMIT && performance.now() < enoughAt);
      this.#say('COMMIT');
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      const reason = asStoreError(error, this.#db.name);
      for (const job of jobs) job.reject(reason);
      this.#schedule(0);
      return;
    }
    for (const answer of done) answer();
    if (this.#queue.length > 0) this.#schedule(0);
  }

  #runAlone(job: Job): () => void {
    const value = job.work() as never;
    return () => job.resolve(value);
  }

  #runInSavepoint(job: Job): () => void {
    this.#say('SAVEPOINT job');
    try {
      const value = job.work() as never;
      this.#say('RELEASE job');
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

  /** Said with every message: a statement that is prepared once costs a tenth of one that is read again each time. */
  #say(statement: string): void {
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
    for (const job of this.#queue.splice(0)) job.reject(reason);
  }
}
