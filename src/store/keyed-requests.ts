import { KEPT_MS, type MessageOutcome } from '../core/keyed-request.js';
import type { Millis } from '../core/types.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** A request that named an idempotency key. */
export interface KeyedRequest {
  /** Whose keys: a tenant's own, or the admin token's. */
  scope: TenantScope | 'admin';
  /** The tenant that it is about, with which its record goes: a tenant's own request is about that; undefined for several. */
  about: TenantScope | undefined;
  key: string;
  /** SHA-256 of what was asked for. */
  hash: Buffer;
}

/** What is known of a key. */
export interface RequestRecord {
  hash: Buffer;
  /** As it was given; undefined while the request is under way, or when it was broken off. */
  answer: string | undefined;
  /** What became of messages before it was broken off. */
  outcomes: MessageOutcome[];
}

/** Notes inside the caller's transaction what becomes of a request's messages; it may be repeated. */
export interface NoteRequest {
  /** Of a part of its messages. */
  part(request: KeyedRequest, outcomes: readonly MessageOutcome[], now: Millis): void;
  /** Of all of them. */
  answer(request: KeyedRequest, answer: string, now: Millis): void;
}

/** What requests with an idempotency key were answered, for 24 hours. */
export interface KeyedRequestStore {
  find(request: Pick<KeyedRequest, 'scope' | 'key'>, now: Millis): Promise<RequestRecord | undefined>;
  /** Writes the answer down, unless it is there already. */
  answer(request: KeyedRequest, answer: string, now: Millis): Promise<void>;
}

const scopeOf = ({ scope }: Pick<KeyedRequest, 'scope'>): string =>
  scope === 'admin' ? 'admin' : `t:${scope.tenantId}`;

/** Writes records in whatever transaction is under way. */
export function createNoteRequest(sql: Sql): NoteRequest {
  const tenantThere = (about: TenantScope | undefined): string | null => {
    if (about === undefined) return null;
    return (sql('SELECT id FROM tenants WHERE id = ?').get(about.tenantId)?.id ?? null) as string | null;
  };
  /** The record, made when it is new; undefined when its tenant is gone, and with it whatever would be remembered. */
  const open = (request: KeyedRequest, now: Millis): number | undefined => {
    const scope = scopeOf(request);
    const { key, hash, about } = request;
    sql('DELETE FROM keyed_requests WHERE scope = ? AND key = ? AND created_at <= ?').run(
      scope,
      key,
      now - KEPT_MS,
    );
    const known = sql('SELECT pk FROM keyed_requests WHERE scope = ? AND key = ?').get(scope, key);
    if (known !== undefined) return known.pk as number;
    const tenantId = tenantThere(about);
    if (request.scope !== 'admin' && tenantId === null) return undefined;
    const { lastInsertRowid } = sql(
      'INSERT INTO keyed_requests (scope, key, tenant_id, hash, created_at) VALUES (?, ?, ?, ?, ?)',
    ).run(scope, key, tenantId, hash, now);
    return Number(lastInsertRowid);
  };
  return {
    part(request, outcomes, now) {
      const pk = open(request, now);
      if (pk === undefined) return;
      sql(
        `INSERT INTO keyed_request_parts
           SELECT @pk, COALESCE(MAX(part), 0) + 1, @outcomes FROM keyed_request_parts WHERE request_pk = @pk`,
      ).run({ pk, outcomes: JSON.stringify(outcomes) });
    },
    answer(request, answer, now) {
      const pk = open(request, now);
      if (pk === undefined) return;
      sql('UPDATE keyed_requests SET answer = ? WHERE pk = ?').run(answer, pk);
      sql('DELETE FROM keyed_request_parts WHERE request_pk = ?').run(pk);
    },
  };
}

/** The records over one connection. */
export function createKeyedRequestStore(sql: Sql, writer: Writer, note: NoteRequest): KeyedRequestStore {
  const row = (request: Pick<KeyedRequest, 'scope' | 'key'>, now: Millis) =>
    sql('SELECT pk, hash, answer FROM keyed_requests WHERE scope = ? AND key = ? AND created_at > ?').get(
      scopeOf(request),
      request.key,
      now - KEPT_MS,
    );
  return {
    async find(request, now) {
      const found = row(request, now);
      if (found === undefined) return undefined;
      const parts = sql('SELECT outcomes FROM keyed_request_parts WHERE request_pk = ? ORDER BY part').all(
        found.pk,
      );
      return {
        hash: found.hash as Buffer,
        answer: (found.answer ?? undefined) as string | undefined,
        outcomes: parts.flatMap(({ outcomes }) => JSON.parse(outcomes as string) as MessageOutcome[]),
      };
    },
    async answer(request, answer, now) {
      // Of nearly all requests it was written together with the messages.
      if ((row(request, now)?.answer ?? null) !== null) return;
      await writer.run(() => note.answer(request, answer, now), { isRepeatable: true });
    },
  };
}
