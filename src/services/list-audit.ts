import type { AuditRecord } from '../core/audit.js';
import { auditToWire } from '../core/wire.js';
import type { AuditFilter } from '../store/audit.js';
import type { ServiceContext } from './context.js';
import { type Page, readPage } from './page.js';

const STEP = 500;

/** Lists the audit trail, newest first. */
export async function listAudit(
  { store }: Pick<ServiceContext, 'store'>,
  filter: AuditFilter,
  page: { cursor?: string; limit: number },
): Promise<Page<AuditRecord>> {
  const before = page.cursor === undefined ? undefined : Number(page.cursor);
  return readPage(
    page.limit,
    (limit) => store.audit.list(filter, { limit, ...(before === undefined ? {} : { before }) }),
    ({ seq }) => String(seq),
  );
}

/** The whole trail in the order of writing, as text: one JSON object a line, hashes included. */
export async function* exportAudit({
  store,
}: Pick<ServiceContext, 'store'>): AsyncGenerator<string, undefined> {
  let after = 0;
  for (;;) {
    const records = await store.audit.read(after, STEP);
    const last = records.at(-1);
    if (last === undefined) return undefined;
    yield records.map((record) => `${JSON.stringify(auditToWire(record))}\n`).join('');
    after = last.seq;
  }
}
