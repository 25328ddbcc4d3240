import type { Client, TenantRequest } from '../client/index.js';
import { MailProxyError } from '../core/errors.js';
import type { TenantWire } from '../core/wire.js';

/** Adds a tenant through the daemon, which alone has the key. @throws MailProxyError `already_exists`. */
export async function addTenantThrough(client: Client, id: string, body: TenantRequest) {
  if ((await findTenant(client, id)) !== undefined) {
    throw new MailProxyError(
      'already_exists',
      `The tenant "${id}" exists already: change it with "tenants update".`,
    );
  }
  const { api_key, webhook_secret } = await client.putTenant(body);
  return {
    ok: true as const,
    tenant_id: id,
    ...(api_key === undefined ? {} : { api_key }),
    ...(webhook_secret === undefined ? {} : { webhook_secret }),
  };
}

/** Changes a tenant through the daemon; the route keeps what is not named. @throws MailProxyError `tenant_not_found`. */
export async function updateTenantThrough(
  client: Client,
  id: string,
  body: TenantRequest,
): Promise<TenantWire> {
  await requireTenant(client, id);
  await client.putTenant(body);
  return await requireTenant(client, id);
}

async function requireTenant(client: Client, id: string): Promise<TenantWire> {
  const tenant = await findTenant(client, id);
  if (tenant === undefined)
    throw new MailProxyError('tenant_not_found', `There is no tenant "${id}": see "tenants list".`);
  return tenant;
}

async function findTenant(client: Client, id: string): Promise<TenantWire | undefined> {
  let cursor: string | undefined;
  do {
    const page = await client.listTenants({ limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    const found = page.tenants.find((tenant) => tenant.id === id);
    if (found !== undefined) return found;
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return undefined;
}
