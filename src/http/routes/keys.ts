import { z } from 'zod';
import { changeBy } from '../../services/context.js';
import { listKeys } from '../../services/list-keys.js';
import { verifySecrets } from '../../services/reencrypt.js';
import { finishRotation } from '../../services/rotate-key.js';
import { okField } from '../answers.js';
import { defineRoute, type Route } from '../route.js';

const keyAnswer = z.object({
  id: z.string(),
  source: z.string().nullable().describe('Where this daemon has it from; null when it does not have it.'),
  primary: z.boolean().describe('Whether new secrets are sealed under it.'),
  secrets: z.int().describe('How many stored secrets it opens.'),
  recorded_at: z.string().nullable(),
  retired_at: z.string().nullable(),
});

/** Encryption keys, by id, never themselves. */
export const keyRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    path: '/keys',
    who: 'admin',
    summary: 'List the encryption keys by id, and what each opens.',
    answer: z.object({ ...okField, keys: z.array(keyAnswer) }),
    async handler({ context }) {
      return { ok: true as const, keys: await listKeys(context) };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/keys/verify',
    who: 'admin',
    summary: 'Open every stored secret and name those that do not open.',
    answer: z.object({
      ok: z.boolean(),
      checked: z.int(),
      unreadable: z.array(z.object({ what: z.string(), key_id: z.string(), reason: z.string() })),
    }),
    async handler({ context }) {
      const { checked, unreadable } = await verifySecrets(context.store, context.keyring);
      return {
        ok: unreadable.length === 0,
        checked,
        unreadable: unreadable.map(({ what, keyId, reason }) => ({ what, key_id: keyId, reason })),
      };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/keys/reencrypt',
    who: 'admin',
    summary:
      'End a rotation: put every secret down under the primary key, prove that all open, retire the other keys.',
    answer: z.object({ ...okField, key_id: z.string(), reencrypted: z.int(), retired: z.array(z.string()) }),
    errors: ['key_missing', 'credential_unreadable'],
    async handler({ deps, context }) {
      const id = context.keyring.primaryId ?? '';
      const done = await finishRotation(
        {
          store: context.store,
          by: () => changeBy(context),
          onProgress: () => undefined,
          async loadKeyring() {
            await deps.reloadKeys();
            return deps.keyring();
          },
        },
        id,
      );
      deps.changed();
      return { ok: true as const, key_id: id, ...done };
    },
  }),
];
