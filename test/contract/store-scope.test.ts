import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type TenantScope, tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import {
  accountChange,
  addLane,
  by,
  NOON,
  newMessage,
  openTempStore,
  tenantChange,
} from '../support/temp-store.js';

const closing = useCleanup();

test.each(['', '.', '..', 'a/b', "a' OR 1=1", 'a\0', 'é', 'a'.repeat(65)])('%j gives no scope', (id) => {
  expect(() => tenantScope(id)).toThrow(expect.objectContaining({ code: 'validation_failed' }));
});

test('a scope cannot be turned into that of another tenant', () => {
  const scope = tenantScope('acme');
  expect(() => Object.assign(scope, { tenantId: 'globex' })).toThrow(TypeError);
});

test('nothing that is done in one scope is seen in another that uses the same ids', async () => {
  const temp = closing(await openTempStore(), (it) => it.close());
  const { store } = temp;
  const globex = await addLane(
    store,
    'globex',
    { fromAddress: 'g@globex.example' },
    { name: 'Globex' },
    'a1',
  );
  await store.accounts.put(globex.scope, 'a2', by(NOON), () => accountChange());
  const theirs = [
    newMessage('m1', { accountId: 'a1' }),
    newMessage('m2', { accountId: 'a2', batchCode: 'Q' }),
  ];
  await store.queue.enqueue(globex.scope, theirs, NOON);
  const token = (owner: string, name: string) => ({ name, hash: `${owner}-${name}`, expiresAt: null });
  await store.tokens.put(globex.scope, token('globex', 'a1'), by(NOON), { replace: false });
  const view = async (scope: TenantScope) => ({
    tenant: await store.tenants.get(scope),
    accounts: await store.accounts.list(scope, { limit: 99 }),
    default: await store.accounts.getDefault(scope),
    one: await store.accounts.get(scope, 'a1'),
    messages: (await store.messages.list(scope, {}, { limit: 99 })).messages,
    filtered: (await store.messages.list(scope, { accountId: 'a2', batchCode: 'Q' }, { limit: 99 })).messages,
    message: await store.messages.get(scope, 'm1'),
    counts: await store.messages.counts(scope),
    tokens: await store.tokens.list(scope),
  });
  const before = await view(globex.scope);

  const acme = tenantScope('acme');
  const account = fc.constantFrom('a1', 'a2', 'a3');
  const action = fc.oneof(
    fc.record({ do: fc.constant('tenant' as const), active: fc.boolean() }),
    fc.record({ do: fc.constant('drop' as const) }),
    fc.record({ do: fc.constant('account' as const), id: account, isDefault: fc.boolean() }),
    fc.record({ do: fc.constant('delete' as const), id: account }),
    fc.record({ do: fc.constant('enqueue' as const), id: fc.constantFrom('m1', 'm2'), account }),
    fc.record({ do: fc.constant('send' as const), id: account }),
    fc.record({ do: fc.constant('token' as const), name: account }),
    fc.record({ do: fc.constant('revoke' as const), name: account }),
    fc.record({ do: fc.constant('steal' as const), name: account }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 20 }), async (actions) => {
      await store.tenants.put(acme, by(NOON), () => tenantChange());
      for (const it of actions) {
        if (it.do === 'tenant')
          await store.tenants.put(acme, by(NOON), () => tenantChange({ active: it.active }));
        else if (it.do === 'drop') {
          await store.tenants.delete(acme, by(NOON));
          await store.tenants.put(acme, by(NOON), () => tenantChange());
        } else if (it.do === 'account') {
          await store.accounts.put(acme, it.id, by(NOON), () => accountChange({ isDefault: it.isDefault }));
        } else if (it.do === 'delete') {
          await store.accounts.delete(acme, it.id, by(NOON), { failWaiting: true });
        } else if (it.do === 'token') {
          await store.tokens.put(acme, token('acme', it.name), by(NOON), { replace: true });
        } else if (it.do === 'revoke') {
          await store.tokens.revoke(acme, it.name, by(NOON));
        } else if (it.do === 'steal') {
          // The other tenant's own token can be nobody else's, under whatever name.
          const stolen = { ...token('globex', 'a1'), name: it.name };
          const refused = { code: 'already_exists' };
          await expect(store.tokens.put(acme, stolen, by(NOON), { replace: true })).rejects.toMatchObject(
            refused,
          );
        } else if (it.do === 'enqueue') {
          await store.queue.enqueue(acme, [newMessage(it.id, { accountId: it.account })], NOON);
        } else {
          const pk = (await store.accounts.get(acme, it.id))?.pk ?? 0;
          const lane = { accountPk: pk, tenantId: 'acme' };
          const { claims } = await store.claims.claimDue(lane, {
            limit: 9,
            owner: 'o',
            now: NOON,
            leaseMs: 1,
          });
          for (const { pk, claim } of claims) {
            await store.claims.settle({ pk, claim, recipients: [], next: { kind: 'final' } }, NOON);
          }
        }
      }
      const ours = await view(acme);
      for (const row of [...ours.accounts, ...ours.messages, ...ours.tokens])
        expect(row.tenantId).toBe('acme');
      expect(await view(globex.scope)).toEqual(before);
    }),
    { numRuns: 25 },
  );
});
