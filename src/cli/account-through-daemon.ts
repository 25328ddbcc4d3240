import type { AccountRequest, Client } from '../client/index.js';
import { MailProxyError } from '../core/errors.js';
import type { AccountWire } from '../core/wire.js';

/** Adds an account through the daemon, which alone has the key. @throws MailProxyError `already_exists`. */
export async function addAccountThrough(
  client: Client,
  tenant: string,
  id: string | undefined,
  body: Partial<AccountRequest>,
): Promise<AccountWire> {
  const taken = new Set((await allAccounts(client, tenant)).map((account) => account.id));
  if (id !== undefined && taken.has(id)) {
    throw new MailProxyError(
      'already_exists',
      `The account "${id}" exists already: change it with "accounts update".`,
    );
  }
  let free = id;
  for (let n = 1; free === undefined; n++) if (!taken.has(`smtp${n}`)) free = `smtp${n}`;
  await client.putAccount({ ...(body as AccountRequest), id: free });
  return await client.getAccount(tenant, free);
}

/** Changes an account through the daemon: the route replaces, so what is not named is sent as it was. */
export async function updateAccountThrough(
  client: Client,
  tenant: string,
  id: string,
  body: Partial<AccountRequest>,
): Promise<AccountWire> {
  const {
    has_password: _has,
    created_at: _created,
    updated_at: _updated,
    ...current
  } = await client.getAccount(tenant, id);
  const { port, ...others } = current;
  // Another TLS mode has another port, unless one is named: as where no daemon is asked.
  const keepsPort = body.tls === undefined || body.tls === current.tls;
  await client.putAccount({ ...others, ...(keepsPort ? { port } : {}), ...body });
  return await client.getAccount(tenant, id);
}

async function allAccounts(client: Client, tenant: string): Promise<AccountWire[]> {
  const accounts: AccountWire[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.listAccounts({
      tenant_id: tenant,
      limit: 1000,
      ...(cursor === undefined ? {} : { cursor }),
    });
    accounts.push(...page.accounts);
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return accounts;
}
