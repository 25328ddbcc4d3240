/** A page of a list, and where the next one begins; undefined when there is no more. */
export interface Page<T> {
  items: T[];
  nextCursor: string | undefined;
}

/**
 * Reads one page of a list. One row more than asked for is read: only so is it known whether there is a next page.
 *
 * @param cursorOf - The cursor of the page that begins after this item.
 */
export async function readPage<T>(
  limit: number,
  read: (limit: number) => Promise<T[]>,
  cursorOf: (last: T) => string,
): Promise<Page<T>> {
  const rows = await read(limit + 1);
  return pageOf(rows.slice(0, limit), rows.length > limit, cursorOf);
}

/** A page of what was read, when it is known whether others follow. */
export function pageOf<T>(items: T[], more: boolean, cursorOf: (last: T) => string): Page<T> {
  const last = items.at(-1);
  return { items, nextCursor: more && last !== undefined ? cursorOf(last) : undefined };
}
