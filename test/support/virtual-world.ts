import type Database from 'better-sqlite3';
import { vi } from 'vitest';
import { Keyring } from '../../src/crypto/keyring.js';
import { Dispatcher } from '../../src/delivery/dispatcher.js';
import { NOON, openTempStore } from './temp-store.js';
import { createVirtualSender, type VirtualServer } from './virtual-servers.js';
import { type WatchedStore, watchStore } from './watched-store.js';

/** A dispatcher over a real store, in a time that passes only when a test lets it. */
export interface VirtualWorld extends WatchedStore {
  raw: Database.Database;
  /** Warnings and errors of the log. */
  log: string[];
  /** The one that runs now. */
  dispatcher: Dispatcher;
  /** How many of its connections to the server at a port carry something. */
  inUse(port: number): number;
  /** Times in which none ran: from, and until. */
  downtimes: Array<[from: number, until: number]>;
  /** Has something done when its time comes, even over a restart. */
  at(time: number, action: () => Promise<void>): void;
  /**
   * Lets time pass from one timer to the next: the servers', the test's and the dispatcher's own. Between any two, everything
   * that follows from the first is done.
   *
   * @param until - Asked after each.
   * @throws Error when the time `latest` has come.
   */
  pass(until: () => boolean, latest: number): Promise<void>;
  /** Ends the dispatcher, in order or as a power cut would, and starts another over the same store. */
  restart(how: 'stop' | 'crash'): Promise<void>;
  close(): Promise<void>;
}

/** One claim, as it was at that moment, inside its transaction. */
export interface ClaimSeen {
  seq: number;
  pk: number;
  claim: number;
  tenant_id: string;
  account_pk: number;
  at: number;
  due_at: number;
  expires_at: number;
  /** Messages of its lane that ranked before it and stayed behind. */
  overtaken: number;
  /** Whether it was suspended. */
  stopped: number;
  /** Failures in a row to use the account. */
  failures: number;
  /** Messages of its lane that are being sent, this one included. */
  in_lane: number;
  max_connections: number;
  limit_minute: number | null;
  limit_hour: number | null;
  limit_day: number | null;
  limit_hourly: number | null;
  limit_daily: number | null;
  /** Whether its body was let out under this claim, and whether it was suspended then. */
  marked: 0 | 1;
  marked_stopped: 0 | 1;
  /** Whether the message went back to where it was, as if it had not been claimed. */
  given_back: 0 | 1;
}

const stopped = (
  row: string,
): string => `EXISTS (SELECT 1 FROM suspensions AS s WHERE s.tenant_id = ${row}.tenant_id
  AND s.released_at IS NULL AND s.batch_code IN ('', ${row}.batch_code))`;

/**
 * Triggers see what no reader could: the very moment of a claim and of a mark. What waits and is due this very moment is made
 * ready by the dispatcher's next round; only what is claimed with the commit that stores it may be before that.
 */
const JOURNAL = `
CREATE TABLE seen_claims (seq INTEGER PRIMARY KEY, pk, claim, tenant_id, account_pk, at, due_at, expires_at, overtaken, stopped,
  failures, in_lane, max_connections, limit_minute, limit_hour, limit_day, limit_hourly, limit_daily,
  marked, marked_stopped, given_back);
CREATE INDEX seen_by_claim ON seen_claims (pk, claim);
CREATE TRIGGER see_claim AFTER UPDATE OF claim ON messages WHEN NEW.claim <> OLD.claim BEGIN
  INSERT INTO seen_claims SELECT NULL, NEW.pk, NEW.claim, NEW.tenant_id, NEW.account_pk, NEW.claimed_at, NEW.due_at,
    NEW.expires_at,
    (SELECT COUNT(*) FROM messages AS m WHERE m.account_pk = NEW.account_pk AND m.expires_at > NEW.claimed_at
       AND (m.state = 'ready' OR (m.state = 'waiting' AND m.due_at <= NEW.claimed_at AND NEW.created_at < NEW.claimed_at))
       AND (m.priority, m.due_at, m.pk) < (NEW.priority, NEW.due_at, NEW.pk) AND NOT ${stopped('m')}),
    ${stopped('NEW')},
    COALESCE((SELECT failures FROM lane_states WHERE lane_states.account_pk = NEW.account_pk), 0),
    (SELECT COUNT(*) FROM messages AS m WHERE m.account_pk = NEW.account_pk AND m.state = 'sending'),
    max_connections, limit_minute, limit_hour, limit_day, limit_hourly, limit_daily, 0, 0, 0
    FROM accounts JOIN tenants ON tenants.id = tenant_id WHERE accounts.pk = NEW.account_pk;
END;
CREATE TRIGGER see_mark AFTER UPDATE OF handed_over ON messages WHEN NEW.handed_over = 1 AND OLD.handed_over = 0 BEGIN
  UPDATE seen_claims SET marked = 1, marked_stopped = ${stopped('NEW')} WHERE pk = NEW.pk AND claim = NEW.claim;
END;
CREATE TRIGGER see_return AFTER UPDATE OF state ON messages
  WHEN OLD.state = 'sending' AND NEW.state IN ('ready', 'waiting', 'suspended') AND NEW.retry_count = OLD.retry_count BEGIN
  UPDATE seen_claims SET given_back = 1 WHERE pk = NEW.pk AND claim = NEW.claim;
END;`;

/** All claims that were made, in order. */
export function claimsSeen(raw: Database.Database): ClaimSeen[] {
  return raw.prepare('SELECT * FROM seen_claims ORDER BY seq').all() as ClaimSeen[];
}

/** Opens a {@link VirtualWorld} at noon; `close` brings real time back. */
export async function openVirtualWorld(
  serverAt: (port: number) => VirtualServer,
  random: () => number = () => 0.5,
): Promise<VirtualWorld> {
  const opened = await openTempStore();
  opened.raw.exec(JOURNAL);
  vi.useFakeTimers({
    now: NOON,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  const watched = watchStore(opened.store);
  const log: string[] = [];
  const due: Array<() => Promise<void>> = [];
  let sender = createVirtualSender(serverAt);
  let lives = 0;
  const create = (): Dispatcher =>
    new Dispatcher({
      store: watched.store,
      keyring: () => new Keyring([], undefined),
      reloadKeys: async () => undefined,
      sender,
      now: () => Date.now(),
      random,
      log: {
        debug: () => {},
        info: () => {},
        warn: (message) => void log.push(message),
        error: (message, { err } = {}) => void log.push(`${message}: ${err}`),
      },
      owner: `life ${++lives}`,
    });
  const world: VirtualWorld = {
    ...watched,
    raw: opened.raw,
    log,
    dispatcher: create(),
    downtimes: [],
    inUse: (port) => sender.inUse(port),
    at(time, action) {
      setTimeout(() => due.push(action), time - Date.now());
    },
    async pass(until, latest) {
      for (;;) {
        const action = due.shift();
        if (action !== undefined) await action();
        await watched.idle();
        if (due.length > 0) continue;
        if (until()) return;
        if (Date.now() >= latest) throw new Error(`What was waited for did not come in time.`);
        vi.advanceTimersToNextTimer();
      }
    },
    async restart(how) {
      const from = Date.now();
      let isStopped = how === 'crash';
      if (how === 'crash') sender.kill();
      const stopping = world.dispatcher.stop(60_000).then(() => {
        isStopped = true;
      });
      if (how === 'stop') {
        await world.pass(() => isStopped, from + 120_000);
        await stopping;
      }
      world.downtimes.push([from, Date.now()]);
      sender = createVirtualSender(serverAt);
      world.dispatcher = create();
      await world.dispatcher.start();
    },
    async close() {
      let isStopped = false;
      void world.dispatcher.stop(60_000).then(() => {
        isStopped = true;
      });
      await world.pass(() => isStopped, Date.now() + 120_000);
      vi.useRealTimers();
      await opened.close();
    },
  };
  return world;
}
