import type { RunResult, Statement } from 'better-sqlite3';
import { asStoreError, type Db } from './database.js';

/** A row as SQLite gives it. */
type Row = Record<string, unknown>;

/** A prepared statement whose failures are told in the words of the store. */
export interface PreparedStatement {
  get(...values: unknown[]): Row | undefined;
  all(...values: unknown[]): Row[];
  run(...values: unknown[]): RunResult;
}

/** Prepares each distinct SQL text once per connection. */
export type Sql = (text: string) => PreparedStatement;

/** Makes the statement cache of one connection. */
export function statementCache(db: Db): Sql {
  const cache = new Map<string, PreparedStatement>();
  const telling = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw asStoreError(error, db.name);
    }
  };
  return (text) => {
    let prepared = cache.get(text);
    if (prepared === undefined) {
      const statement: Statement<unknown[], Row> = telling(() => db.prepare<unknown[], Row>(text));
      prepared = {
        get: (...values) => telling(() => statement.get(...values)),
        all: (...values) => telling(() => statement.all(...values)),
        run: (...values) => telling(() => statement.run(...values)),
      };
      cache.set(text, prepared);
    }
    return prepared;
  };
}
