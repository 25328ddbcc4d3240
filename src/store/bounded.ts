import type { Sql } from './statements.js';

const MOST_MESSAGES = 500;
const MOST_WEIGHT = 2000;
const PAGE_BYTES = 4096;

/** Rows that one short transaction may change, and whether there are others. */
export interface Bounded {
  pks: number[];
  more: boolean;
}

/** Picks from the messages that a statement selects, in its order, as many as one short transaction may change. */
export type PickMessages = (select: string, ...values: unknown[]) => Bounded;

/**
 * Makes {@link PickMessages} over one connection: at most 500 messages, and of recipients and pages of content together
 * about 2,000. Whoever changes many messages does so pick by pick, a transaction each, so that nobody waits long for
 * the lock.
 */
export function createPickMessages(sql: Sql): PickMessages {
  return (select, ...values) => {
    const found = sql(`${select} LIMIT ${MOST_MESSAGES + 1}`).all(...values);
    const pks: number[] = [];
    let weight = 0;
    for (const { pk } of found.slice(0, MOST_MESSAGES)) {
      if (weight >= MOST_WEIGHT) break;
      const row = sql(
        `SELECT (SELECT COUNT(*) FROM recipients WHERE message_pk = @pk) AS recipients,
           (SELECT LENGTH(content) FROM message_contents WHERE message_pk = @pk) AS bytes`,
      ).get({ pk });
      weight += (row?.recipients as number) + ((row?.bytes ?? 0) as number) / PAGE_BYTES;
      pks.push(pk as number);
    }
    return { pks, more: pks.length < found.length };
  };
}

/** Runs a step in transactions of its own until it says that it is done; `more` is answered while it is not. */
export async function repeat<T>(run: () => Promise<T | 'more'>): Promise<T> {
  for (;;) {
    const result = await run();
    if (result !== 'more') return result;
  }
}
