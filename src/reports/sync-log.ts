import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { CallFailed } from './call-failed.js';

/** Ids that a line names; the others are counted. */
const MOST_NAMED = 20;

/** What the log says of the calls to one tenant: trouble once for each kind of it, since what goes on is not news. */
export class SyncLog {
  readonly #tenantId: string;
  readonly #log: Log;
  #trouble: string | undefined;

  constructor(tenantId: string, log: Log) {
    this.#tenantId = tenantId;
    this.#log = log;
  }

  /** A call was answered well. */
  works(): void {
    if (this.#trouble !== undefined) this.#log.info(`Reports of tenant '${this.#tenantId}' go out again`);
    this.#trouble = undefined;
  }

  /** A call failed, or could not be made. */
  failed(error: unknown): void {
    const isExplained = error instanceof CallFailed || error instanceof MailProxyError;
    const why = isExplained ? error.message.replace(/\.$/, '') : 'an internal error';
    if (why === this.#trouble) return;
    this.#trouble = why;
    const line = `Reports of tenant '${this.#tenantId}' wait: ${why}`;
    if (isExplained) this.#log.warn(line);
    else this.#log.error(line, { err: error });
  }

  /** The endpoint said something of messages, such as that it does not know them. */
  said(what: string, ids: readonly string[]): void {
    if (ids.length === 0) return;
    const distinct = [...new Set(ids)];
    const named = distinct.slice(0, MOST_NAMED).map(quoted);
    const more = distinct.length > named.length ? ` and ${distinct.length - named.length} more` : '';
    this.#log.warn(
      `The endpoint of tenant '${this.#tenantId}' ${what} the message(s) ${named.join(', ')}${more}`,
    );
  }
}

/** An endpoint may say anything: no line of its own gets into the log. */
const quoted = (id: string): string => `'${id.slice(0, 255).replace(/[\p{Cc}\p{Cs}]/gu, '?')}'`;
