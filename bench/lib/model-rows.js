// The rows that the product stores for a message, as better-sqlite3 alone commits them: in the product's own tables and durability.
import { openDatabase } from '../../dist/store/database.js';

/** Opens a database that has a message in it; `commit` stores copies of that message under other ids, in one transaction. */
export function openModelRows(database) {
  // The product's own settings, of which it asserts that they are durable.
  const db = openDatabase(database, { create: false });

  const model = db.prepare('SELECT * FROM messages ORDER BY pk DESC LIMIT 1').get();
  const content = db.prepare('SELECT * FROM message_contents WHERE message_pk = ?').get(model.pk);
  const recipients = db.prepare('SELECT * FROM recipients WHERE message_pk = ?').all(model.pk);
  const columns = Object.keys(model).filter((name) => name !== 'pk');
  const addMessage = db.prepare(
    `INSERT INTO messages (${columns.join(', ')}) VALUES (${columns.map((name) => `@${name}`).join(', ')})`,
  );
  const addContent = db.prepare('INSERT INTO message_contents VALUES (?, ?, ?)');
  const addRecipient = db.prepare('INSERT INTO recipients (message_pk, position, address) VALUES (?, ?, ?)');
  const store = db.transaction((ids) => {
    for (const id of ids) {
      const { lastInsertRowid } = addMessage.run({ ...model, id });
      addContent.run(lastInsertRowid, content.kind, content.content);
      for (const { position, address } of recipients) addRecipient.run(lastInsertRowid, position, address);
    }
  });
  return { commit: (ids) => store.immediate(ids), close: () => db.close() };
}
