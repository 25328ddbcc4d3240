import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { watchOtherWriters } from '../../src/daemon/wakeup.js';
import { useCleanup } from '../support/cleanup.js';
import { by, NOON, openTempStore } from '../support/temp-store.js';

const closing = useCleanup();
const silent = { debug() {}, info() {}, warn() {}, error() {} };

test('what another process commits is noticed, also right after the watching began', async () => {
  const temp = closing(await openTempStore(), (it) => it.close());
  let wake = () => {};
  let changes = 0;
  const changed = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const first = changed();
  const stop = watchOtherWriters(
    temp.store,
    silent,
    () => {
      changes++;
      wake();
    },
    () => expect.unreachable(),
  );
  closing(stop, (it) => it());
  temp.raw.exec("INSERT INTO settings VALUES ('host', 'a')");
  await first;
  const second = changed();
  await temp.store.settings.set('port', '1', by(NOON));
  temp.raw.exec("UPDATE settings SET value = 'b' WHERE name = 'host'");
  await second;
  expect(changes).toBe(2);
});

test('a database that is removed under the daemon is noticed, and says that it cannot be written to', async () => {
  const temp = closing(await openTempStore(), (it) => it.close());
  await temp.store.check();
  const lost = new Promise<void>((resolve) => {
    closing(
      watchOtherWriters(temp.store, silent, () => {}, resolve),
      (stop) => stop(),
    );
  });
  rmSync(temp.path);
  await lost;
  await expect(temp.store.check()).rejects.toThrow(expect.objectContaining({ code: 'store_unavailable' }));
});
