import type { ServiceContext } from './context.js';

/** A key as lists show it. */
export interface ListedKey {
  id: string;
  /** Where this process has it from; null when it does not have it. */
  source: string | null;
  primary: boolean;
  /** How many stored secrets it opens. */
  secrets: number;
  recorded_at: string | null;
  retired_at: string | null;
}

/** Every key that is at hand, recorded or needed: by id, never itself. */
export async function listKeys({
  store,
  keyring,
}: Pick<ServiceContext, 'store' | 'keyring'>): Promise<ListedKey[]> {
  const recorded = await store.keys.list();
  const counts = await store.secrets.countByKey();
  const primary = await store.keys.primaryId();
  const ids = new Set([
    ...(primary === undefined ? [] : [primary]),
    ...keyring.ids,
    ...recorded.map(({ id }) => id),
    ...counts.keys(),
  ]);
  const iso = (at: number | null | undefined): string | null =>
    at === null || at === undefined ? null : new Date(at).toISOString();
  return [...ids].map((id) => {
    const known = recorded.find((key) => key.id === id);
    return {
      id,
      source: keyring.keys.find((key) => key.id === id)?.source ?? null,
      primary: id === primary,
      secrets: counts.get(id) ?? 0,
      recorded_at: iso(known?.recordedAt),
      retired_at: iso(known?.retiredAt),
    };
  });
}
