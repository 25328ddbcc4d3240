// better-sqlite3 alone committing a message's rows. Arguments: database, transactions, messages in each, prefix of the ids; prints {"ms"}.
import { monotonicMs } from './clock.js';
import { openModelRows } from './model-rows.js';

const [database, count, batch, prefix] = process.argv.slice(2);
const rows = openModelRows(database);

const began = monotonicMs();
for (let i = 0; i < Number(count); i++) {
  rows.commit(Array.from({ length: Number(batch) }, (_, j) => `${prefix}-${i}-${j}`));
}
process.stdout.write(JSON.stringify({ ms: monotonicMs() - began }));
rows.close();
