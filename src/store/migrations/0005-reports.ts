/** What tenants are still to be told about their messages, and how the calls to them stand. */
export const reports = `
-- Written in the transaction of the change that it tells of, gone once the tenant's endpoint has acknowledged it.
CREATE TABLE reports (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  message_pk INTEGER NOT NULL REFERENCES messages (pk) ON DELETE CASCADE,
  type TEXT NOT NULL CHECK (type IN ('sent', 'error', 'deferred')),
  at INTEGER NOT NULL,
  reason TEXT,
  -- Not before this moment, after the endpoint could not take it; the same for all reports of a message, so that they stay in order.
  due_at INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX reports_by_tenant ON reports (tenant_id, due_at, seq);
-- To give up what is too old without reading what is not.
CREATE INDEX reports_by_age ON reports (tenant_id, at);
CREATE INDEX reports_by_message ON reports (message_pk);

-- The last call that a tenant answered well, and until when it asked not to be called without need.
CREATE TABLE sync_states (
  tenant_id TEXT PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
  last_sync_at INTEGER,
  quiet_until INTEGER
) STRICT, WITHOUT ROWID;

-- When the last report of a message was acknowledged: its retention begins no earlier.
ALTER TABLE messages ADD COLUMN reported_at INTEGER;
-- The claim number under which it was last reported as waiting for a rate limit: once until it is claimed again.
ALTER TABLE messages ADD COLUMN limit_told INTEGER NOT NULL DEFAULT -1;
`;
