/**
 * SQL condition: the row of `tenants` in scope has an endpoint that reports go to. Whether there is a global one is known to the
 * daemon alone, which leaves it as a fact.
 */
export const HAS_ENDPOINT = `(tenants.client_base_url IS NOT NULL OR (tenants.use_global_sync = 1
  AND EXISTS (SELECT 1 FROM settings WHERE settings.name = 'global_sync' AND settings.value = 'true')))`;

/** SQL condition: the row of `messages` in scope has a report that somebody is still to be told. */
export const REPORT_PENDING = `EXISTS (SELECT 1 FROM reports JOIN tenants ON tenants.id = reports.tenant_id
  WHERE reports.message_pk = messages.pk AND ${HAS_ENDPOINT})`;
