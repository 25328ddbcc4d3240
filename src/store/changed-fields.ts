/**
 * Names of the fields in which a row changes, for the audit trail: names only, since values may be secret.
 *
 * @param old - Undefined for a new row: nothing changed then, everything began.
 */
export function changedFields(
  old: Readonly<Record<string, unknown>> | object | undefined,
  next: Readonly<Record<string, unknown>> | object,
): string[] {
  if (old === undefined) return [];
  const before = old as Record<string, unknown>;
  return Object.entries(next)
    .filter(([name, value]) => JSON.stringify(before[name] ?? null) !== JSON.stringify(value ?? null))
    .map(([name]) => name);
}
