/** What suspending, history, retention and the lanes' own state need. */
export const engine = `
-- What is not sent until it is activated: one batch, or with an empty code all of a tenant. Messages of a suspended batch are
-- parked in state 'suspended' as the dispatcher meets them, and freed in small steps after released_at is set.
CREATE TABLE suspensions (
  tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  batch_code TEXT NOT NULL,
  suspended_at INTEGER NOT NULL,
  released_at INTEGER,
  PRIMARY KEY (tenant_id, batch_code)
) STRICT, WITHOUT ROWID;
CREATE INDEX suspensions_released ON suspensions (released_at) WHERE released_at IS NOT NULL;
CREATE INDEX messages_suspended ON messages (tenant_id, batch_code, pk) WHERE state = 'suspended';
CREATE INDEX messages_parkable ON messages (tenant_id, batch_code, account_pk) WHERE state = 'ready' AND batch_code IS NOT NULL;

-- What happened to a message, in order: attempts put off, its outcome, what a person did.
CREATE TABLE message_events (
  pk INTEGER PRIMARY KEY AUTOINCREMENT,
  message_pk INTEGER NOT NULL REFERENCES messages (pk) ON DELETE CASCADE,
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  data TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX message_events_by_message ON message_events (message_pk, pk);

-- When a final message is next looked at by the clean-up: to drop its content, then its row. Null while it is not final.
ALTER TABLE messages ADD COLUMN cleanup_at INTEGER;
CREATE INDEX messages_cleanup ON messages (cleanup_at) WHERE cleanup_at IS NOT NULL;

-- Why a lane stands still, as the daemon last knew: read by whoever explains a message.
CREATE TABLE lane_states (
  account_pk INTEGER PRIMARY KEY REFERENCES accounts (pk) ON DELETE CASCADE,
  failures INTEGER NOT NULL,
  open_until INTEGER NOT NULL,
  reason TEXT,
  held TEXT
) STRICT;

CREATE TRIGGER suspensions_insert_moves_generation AFTER INSERT ON suspensions BEGIN
  UPDATE generation SET value = value + 1;
END;
CREATE TRIGGER suspensions_update_moves_generation AFTER UPDATE ON suspensions BEGIN
  UPDATE generation SET value = value + 1;
END;
CREATE TRIGGER suspensions_delete_moves_generation AFTER DELETE ON suspensions BEGIN
  UPDATE generation SET value = value + 1;
END;
`;
