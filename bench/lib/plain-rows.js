// better-sqlite3 alone committing the rows that the product stores for a message, in the product's own tables and durability.
// Arguments: database, transactions, messages in each, prefix of the ids; prints {"ms"}.
import Database from 'better-sqlite3';
import { monotonicMs } from './clock.js';

const [database, count, batch, prefix] = process.argv.slice(2);
const db = new Database(database);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.pragma('foreign_keys = ON');
db.pragma('wal_autocheckpoint = 2000');
db.pragma('cache_size = -8000');
db.pragma('temp_store = MEMORY');
if (db.pragma('synchronous', { simple: true }) !== 2) throw new Error('It does not commit durably.');

// What the product stored last, copied under other ids.
const model = db.prepare('SELECT * FROM messages ORDER BY pk DESC LIMIT 1').get();
const content = db.prepare('SELECT * FROM message_contents WHERE message_pk = ?').get(model.pk);
const recipients = db.prepare('SELECT * FROM recipients WHERE message_pk = ?').all(model.pk);
const columns = Object.keys(model).filter((name) => name !== 'pk');
const addMessage = db.prepare(
  `INSERT INTO messages (${columns.join(', ')}) VALUES (${columns.map((name) => `@${name}`).join(', ')})`,
);
const addContent = db.prepare('INSERT INTO message_contents VALUES (?, ?, ?)');
const addRecipient = db.prepare('INSERT INTO recipients (message_pk, position, address) VALUES (?, ?, ?)');
const commit = db.transaction((from) => {
  for (let i = from; i < from + Number(batch); i++) {
    const { lastInsertRowid } = addMessage.run({ ...model, id: `${prefix}-${i}` });
    addContent.run(lastInsertRowid, content.kind, content.content);
    for (const { position, address } of recipients) addRecipient.run(lastInsertRowid, position, address);
  }
});

const began = monotonicMs();
for (let i = 0; i < Number(count); i++) commit.immediate(i * Number(batch));
process.stdout.write(JSON.stringify({ ms: monotonicMs() - began }));
db.close();
