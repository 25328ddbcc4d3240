/** The first schema. Times are Unix milliseconds; `*_key_id` names the key that opens the `ENC:` value beside it. */
export const initial = `
CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row that grows with every change of configuration: a daemon rereads only when it moved.
CREATE TABLE generation (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  value INTEGER NOT NULL
) STRICT;
INSERT INTO generation VALUES (1, 1);

CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  first_used_at INTEGER NOT NULL,
  retired_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 1,
  client_base_url TEXT,
  client_sync_path TEXT NOT NULL,
  client_attachment_path TEXT NOT NULL,
  client_auth_method TEXT NOT NULL DEFAULT 'none' CHECK (client_auth_method IN ('none', 'bearer', 'basic')),
  client_auth_user TEXT,
  client_auth_secret TEXT CHECK (client_auth_secret LIKE 'ENC:%'),
  client_auth_key_id TEXT,
  webhook_secret TEXT CHECK (webhook_secret LIKE 'ENC:%'),
  webhook_secret_key_id TEXT,
  limit_hourly INTEGER,
  limit_daily INTEGER,
  on_uncertain TEXT NOT NULL DEFAULT 'retry' CHECK (on_uncertain IN ('retry', 'hold')),
  use_global_sync INTEGER NOT NULL DEFAULT 0,
  attachment_roots TEXT NOT NULL DEFAULT '[]',
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  pk INTEGER PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER,
  UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE accounts (
  pk INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  host TEXT NOT NULL,
  port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
  tls TEXT NOT NULL CHECK (tls IN ('none', 'starttls', 'ssl')),
  tls_verify INTEGER NOT NULL DEFAULT 1,
  tls_ca TEXT,
  user TEXT,
  password TEXT CHECK (password LIKE 'ENC:%'),
  password_key_id TEXT,
  limit_minute INTEGER,
  limit_hour INTEGER,
  limit_day INTEGER,
  limit_behavior TEXT NOT NULL DEFAULT 'defer' CHECK (limit_behavior IN ('defer', 'reject')),
  max_connections INTEGER NOT NULL,
  from_address TEXT,
  is_default INTEGER NOT NULL DEFAULT 0,
  set_by TEXT NOT NULL CHECK (set_by IN ('operator', 'tenant')),
  credential_version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (tenant_id, id),
  CHECK ((password IS NULL) = (password_key_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX accounts_default ON accounts (tenant_id) WHERE is_default = 1;

-- State in small rows, content in a table of its own: claiming and settling never rewrite a body.
CREATE TABLE messages (
  pk INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  account_pk INTEGER NOT NULL,
  account_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('ready', 'waiting', 'suspended', 'sending', 'uncertain', 'sent', 'error')),
  priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
  batch_code TEXT,
  subject TEXT NOT NULL,
  envelope_from TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  deferred_at INTEGER,
  due_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- When somebody must look at it while it is unsent: to say that it is late, and then to give it up.
  attention_at INTEGER NOT NULL,
  sent_at INTEGER,
  error_at INTEGER,
  error TEXT,
  retry_count INTEGER NOT NULL DEFAULT 0,
  -- Fencing: grows with every claim, so that the result of an older one is never written.
  claim INTEGER NOT NULL DEFAULT 0,
  owner TEXT,
  -- When the claim was made; its rate charges carry the same moment.
  claimed_at INTEGER,
  lease_until INTEGER,
  -- The mark: set durably just before the body goes out under the present claim.
  handed_over INTEGER NOT NULL DEFAULT 0,
  UNIQUE (tenant_id, id)
) STRICT;
CREATE INDEX messages_ready ON messages (account_pk, priority, due_at, pk) WHERE state = 'ready';
CREATE INDEX messages_waiting ON messages (due_at) WHERE state = 'waiting';
CREATE INDEX messages_sending ON messages (lease_until) WHERE state = 'sending';
CREATE INDEX messages_attention ON messages (attention_at) WHERE state IN ('ready', 'waiting', 'suspended');
CREATE INDEX messages_by_state ON messages (tenant_id, state, pk);
CREATE INDEX messages_by_tenant ON messages (tenant_id, pk);
CREATE INDEX messages_by_account ON messages (tenant_id, account_id, pk);
CREATE INDEX messages_by_batch ON messages (tenant_id, batch_code, pk) WHERE batch_code IS NOT NULL;

CREATE TABLE message_contents (
  message_pk INTEGER PRIMARY KEY REFERENCES messages (pk) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('composed', 'raw')),
  content BLOB NOT NULL
) STRICT;

CREATE TABLE recipients (
  message_pk INTEGER NOT NULL REFERENCES messages (pk) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  address TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'error')),
  code INTEGER,
  reply TEXT,
  at INTEGER,
  PRIMARY KEY (message_pk, position)
) STRICT, WITHOUT ROWID;

-- Kept, never counted on a request: a count over a million rows takes seconds.
CREATE TABLE message_counts (
  tenant_id TEXT NOT NULL,
  account_pk INTEGER NOT NULL,
  state TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, account_pk, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_counts_ready ON message_counts (tenant_id, account_pk) WHERE state = 'ready' AND n > 0;

CREATE TRIGGER messages_counted AFTER INSERT ON messages BEGIN
  INSERT INTO message_counts VALUES (NEW.tenant_id, NEW.account_pk, NEW.state, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER messages_recounted AFTER UPDATE OF state ON messages WHEN OLD.state <> NEW.state BEGIN
  UPDATE message_counts SET n = n - 1
    WHERE tenant_id = OLD.tenant_id AND account_pk = OLD.account_pk AND state = OLD.state;
  DELETE FROM message_counts
    WHERE tenant_id = OLD.tenant_id AND account_pk = OLD.account_pk AND state = OLD.state AND n <= 0;
  INSERT INTO message_counts VALUES (NEW.tenant_id, NEW.account_pk, NEW.state, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER messages_uncounted AFTER DELETE ON messages BEGIN
  UPDATE message_counts SET n = n - 1
    WHERE tenant_id = OLD.tenant_id AND account_pk = OLD.account_pk AND state = OLD.state;
  DELETE FROM message_counts
    WHERE tenant_id = OLD.tenant_id AND account_pk = OLD.account_pk AND state = OLD.state AND n <= 0;
END;

-- What was sent when, for limits that hold in every sliding window and survive a restart.
-- The scope is a:<account pk> or t:<tenant id>.
CREATE TABLE rate_charges (
  scope TEXT NOT NULL,
  at INTEGER NOT NULL,
  message_pk INTEGER NOT NULL,
  claim INTEGER NOT NULL,
  PRIMARY KEY (scope, at, message_pk, claim)
) STRICT, WITHOUT ROWID;

${['settings', 'keys', 'tenants', 'accounts']
  .flatMap((table) =>
    ['INSERT', 'UPDATE', 'DELETE'].map(
      (
        event,
      ) => `CREATE TRIGGER ${table}_${event.toLowerCase()}_moves_generation AFTER ${event} ON ${table} BEGIN
  UPDATE generation SET value = value + 1;
END;`,
    ),
  )
  .join('\n')}
CREATE TRIGGER tokens_insert_moves_generation AFTER INSERT ON tokens BEGIN
  UPDATE generation SET value = value + 1;
END;
CREATE TRIGGER tokens_delete_moves_generation AFTER DELETE ON tokens BEGIN
  UPDATE generation SET value = value + 1;
END;
CREATE TRIGGER tokens_update_moves_generation AFTER UPDATE OF hash, expires_at ON tokens BEGIN
  UPDATE generation SET value = value + 1;
END;
`;
