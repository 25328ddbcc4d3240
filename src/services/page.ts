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
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : undefined };
}
