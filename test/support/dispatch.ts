import { randomUUID } from 'node:crypto';
import Database from 'better-sqlite3';
import type { AccountInput } from '../../src/core/account-settings.js';
import { parseAllowance } from '../../src/core/destination.js';
import type { Message, NewMessage } from '../../src/core/types.js';
import type { DeliveryEvents } from '../../src/delivery/delivery-events.js';
import { createDestinationGuard } from '../../src/delivery/destination-guard.js';
import { Dispatcher } from '../../src/delivery/dispatcher.js';
import { createLocalSender } from '../../src/delivery/local-sender.js';
import { putAccount } from '../../src/services/put-account.js';
import { tenantScope } from '../../src/store/scope.js';
import { openTestStore, type TestStore } from './store.js';
import { newMessage } from './temp-store.js';

/** A dispatcher over a real store; its clock stands still unless a test moves it, so that no timer helps it along. */
export interface TestDispatch extends TestStore {
  dispatcher: Dispatcher;
  raw: Database.Database;
  /** Every line of the log, with its level. */
  log: string[];
  /** Adds an account `smtp1`, or changes it. */
  account(tenantId: string, input: AccountInput): Promise<number>;
  /** Queues a message; the dispatcher is not told. */
  enqueue(tenantId: string, id: string, changes?: Partial<NewMessage>): Promise<void>;
  message(tenantId: string, id: string): Promise<Message>;
  /** Resolves with the message once it is as wanted. */
  until(tenantId: string, id: string, wanted: (message: Message) => boolean): Promise<Message>;
  /** Moves the clock and tells the dispatcher. */
  pass(millis: number): void;
}

/**
 * Opens a {@link TestDispatch} with the tenants `acme` and `globex`; `close` stops it.
 *
 * @param allowPrivate - What on private networks tenants may reach.
 * @param eventsOver - Who is told what became of messages.
 */
export async function openTestDispatch(
  allowPrivate = '127.0.0.0/8,localhost',
  eventsOver?: (opened: TestStore) => DeliveryEvents,
): Promise<TestDispatch> {
  const opened = await openTestStore();
  const { store, clock, keyring, context } = opened;
  for (const id of ['acme', 'globex']) await opened.addTenant(id, `${id}-token`);
  const log: string[] = [];
  const at = (level: string) => (message: string) => void log.push(`${level}: ${message}`);
  const dispatcher = new Dispatcher({
    store,
    keyring: () => keyring,
    reloadKeys: async () => undefined,
    sender: createLocalSender(createDestinationGuard(parseAllowance(allowPrivate))),
    now: () => clock.now,
    random: () => 0.5,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    owner: randomUUID(),
    ...(eventsOver === undefined ? {} : { events: eventsOver(opened) }),
  });
  const raw = new Database(store.path, { timeout: 1000 });
  const message = async (tenantId: string, id: string): Promise<Message> => {
    const found = await store.messages.get(tenantScope(tenantId), id);
    if (found === undefined) throw new Error(`There is no message ${id}.`);
    return found;
  };
  return {
    ...opened,
    dispatcher,
    raw,
    log,
    message,
    async account(tenantId, input) {
      return (await putAccount(context, tenantId, 'smtp1', input, 'replace')).pk;
    },
    async enqueue(tenantId, id, changes) {
      await store.queue.enqueue(tenantScope(tenantId), [newMessage(id, changes)], clock.now);
    },
    async until(tenantId, id, wanted) {
      for (;;) {
        const found = await message(tenantId, id);
        if (wanted(found)) return found;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    pass(millis) {
      clock.now += millis;
      dispatcher.wake();
    },
    async close() {
      await dispatcher.stop(1000);
      raw.close();
      await opened.close();
    },
  };
}
