/** The audit trail, and what rotation and named tokens need. */
export const audit = `
-- One row an event, in the transaction of the change that it describes. Rows are chained by HMAC under a key that is itself
-- stored encrypted (settings audit_key): an edit, deletion, insertion or exchange shows.
CREATE TABLE audit_events (
  seq INTEGER PRIMARY KEY,
  chain INTEGER NOT NULL,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  actor TEXT NOT NULL,
  address TEXT,
  tenant_id TEXT,
  subject TEXT,
  detail TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_tenant ON audit_events (tenant_id, seq) WHERE tenant_id IS NOT NULL;
-- The key of each chain; the newest is written with.
CREATE TABLE audit_keys (
  chain INTEGER PRIMARY KEY,
  value TEXT NOT NULL CHECK (value LIKE 'ENC:%'),
  key_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- Set when a later chain was begun because this key did not open: nothing waits for it any more.
  given_up INTEGER NOT NULL DEFAULT 0
) STRICT;
-- When an account first delivered over TLS with a verified certificate: from then on it is never made weaker in passing.
ALTER TABLE accounts ADD COLUMN verified_tls_at INTEGER;
CREATE INDEX audit_by_event ON audit_events (event, seq);
`;
