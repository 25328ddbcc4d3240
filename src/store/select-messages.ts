import type { MessageState } from '../core/types.js';
import type { MessageFilter, MessagePage } from './messages.js';
import type { Sql } from './statements.js';
import { batchIsSuspended, tenantIsSuspended } from './suspended-sql.js';

type Rows = Array<Record<string, unknown>>;

/** What is selected: of one tenant or, undefined, of all; in these states or, undefined, in any. */
export interface Selection extends Pick<MessageFilter, 'accountId' | 'batchCode'> {
  tenantId: string | undefined;
  states: readonly MessageState[] | undefined;
}

/** Reads of message rows, newest first. */
export interface SelectMessages {
  newest(selection: Selection, page: MessagePage): Rows;
  /**
   * As `newest`, only those whose sending is stopped, or is not. No index knows that: it looks through the rows in slices,
   * between which others have their turn.
   */
  newestStopped(selection: Selection, page: MessagePage, stopped: boolean): Promise<Rows>;
}

/** So many rows are looked at in one slice: about 5 ms. */
export const LOOKED_AT = 5000;

const STOPPED = `(NOT (SELECT active FROM tenants WHERE tenants.id = seen.tenant_id)
  OR ${tenantIsSuspended('seen.tenant_id')} OR ${batchIsSuspended('seen.tenant_id', 'seen.batch_code')})`;

/** The conditions of a selection, and what they are bound to. */
function whereOf({ tenantId, accountId, batchCode }: Selection, before: number | undefined) {
  const given = { tenantId, accountId, batchCode, before };
  const conditions = {
    tenantId: 'tenant_id = @tenantId',
    accountId: 'account_id = @accountId',
    batchCode: 'batch_code = @batchCode',
    before: 'pk < @before',
  };
  const used = (Object.keys(given) as Array<keyof typeof given>).filter((name) => given[name] !== undefined);
  return { given, conditions: used.map((name) => conditions[name]) };
}

function newestFirst(columns: string, conditions: readonly string[]): string {
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  return `SELECT ${columns} FROM messages ${where} ORDER BY pk DESC LIMIT @limit`;
}

const ANY_OF = 'state IN (SELECT value FROM json_each(@states))';

/** Selecting over one connection. */
export function createSelectMessages(sql: Sql): SelectMessages {
  const newest: SelectMessages['newest'] = (selection, { before, limit }) => {
    const { states, tenantId } = selection;
    const { given, conditions } = whereOf(selection, before);
    const values = { ...given, limit, states: JSON.stringify(states) };
    if (states === undefined) return sql(newestFirst('*', conditions)).all(values);
    if (tenantId === undefined) return sql(newestFirst('*', [...conditions, ANY_OF])).all(values);
    // A state each is in the order of its index. Bound, not spelled out: an index of that one state has another order.
    const bound = Object.fromEntries(states.map((state, i) => [`state${i}`, state]));
    const parts = Object.keys(bound).map(
      (name) => `SELECT * FROM (${newestFirst('*', [...conditions, `state = @${name}`])})`,
    );
    return sql(`${parts.join(' UNION ALL ')} ORDER BY pk DESC LIMIT @limit`).all({ ...values, ...bound });
  };

  /** One slice: how many rows it saw, where it ended, and those among them that fit. */
  const look = (selection: Selection, states: readonly MessageState[], before: number, stopped: boolean) => {
    const { given, conditions } = whereOf(selection, before);
    const inStates = selection.tenantId === undefined ? ANY_OF : 'state = @state';
    const slice = sql(
      `SELECT COUNT(*) AS n, MIN(pk) AS last, json_group_array(pk) FILTER (WHERE ${STOPPED} = @stopped) AS fits
         FROM (${newestFirst('pk, tenant_id, batch_code', [...conditions, inStates])}) AS seen`,
    ).get({
      ...given,
      limit: LOOKED_AT,
      state: states[0],
      states: JSON.stringify(states),
      stopped: Number(stopped),
    });
    return {
      isLast: (slice?.n as number) < LOOKED_AT,
      last: slice?.last as number,
      fits: JSON.parse(slice?.fits as string) as number[],
    };
  };

  return {
    newest,
    async newestStopped(selection, { before, limit }, stopped) {
      const states = selection.states ?? [];
      // With one tenant each state has an index in this order; with all tenants there is but one way through.
      const passes = selection.tenantId === undefined ? [states] : states.map((state) => [state]);
      let found: number[] = [];
      for (const pass of passes) {
        for (let from = before ?? Number.MAX_SAFE_INTEGER; ; ) {
          const slice = look(selection, pass, from, stopped);
          found = [...found, ...slice.fits].sort((a, b) => b - a).slice(0, limit);
          // What is older than the page is of no use to it.
          const oldest = found[limit - 1] ?? 0;
          if (slice.isLast || slice.last <= oldest) break;
          from = slice.last;
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      return sql('SELECT messages.* FROM json_each(?) JOIN messages ON pk = json_each.value ORDER BY pk DESC')
        .all(JSON.stringify(found))
        .filter((row) => states.includes(row.state as MessageState));
    },
  };
}
