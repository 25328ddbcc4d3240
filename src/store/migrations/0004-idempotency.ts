/** What idempotency keys of add-messages need. */
export const idempotency = `
-- A request that named a key: a hash of it, and what it was answered; no answer while it is under way. The scope is
-- t:<tenant id>, or admin for the admin token.
CREATE TABLE keyed_requests (
  pk INTEGER PRIMARY KEY,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  -- The tenant that the request is about; null when an admin's is about several.
  tenant_id TEXT REFERENCES tenants (id) ON DELETE CASCADE,
  hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  answer TEXT,
  UNIQUE (scope, key)
) STRICT;
CREATE INDEX keyed_requests_by_age ON keyed_requests (created_at);
CREATE INDEX keyed_requests_by_tenant ON keyed_requests (tenant_id) WHERE tenant_id IS NOT NULL;

-- What became of the first messages of a request that takes several transactions, one row each transaction. They go with the answer.
CREATE TABLE keyed_request_parts (
  request_pk INTEGER NOT NULL REFERENCES keyed_requests (pk) ON DELETE CASCADE,
  part INTEGER NOT NULL,
  outcomes TEXT NOT NULL,
  PRIMARY KEY (request_pk, part)
) STRICT, WITHOUT ROWID;
`;
