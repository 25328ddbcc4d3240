/** A recipient that was refused, and the server's words. */
export interface Refusal {
  address: string;
  code: number | null;
  reply: string | null;
}

const MOST_NAMED = 10;

/** One sentence that names the refused recipients of a message, ten at most. */
export function describeRefused(refused: readonly Refusal[]): string {
  const named = refused.slice(0, MOST_NAMED).map(({ address, code, reply }) => {
    // A reply usually begins with its code, as the server sent it.
    const parts = reply?.startsWith(String(code)) === true ? [reply] : [code, reply];
    const said = parts.filter((part) => part !== null && part !== '').join(' ');
    return said === '' ? address : `${address} (${said})`;
  });
  const more = refused.length > MOST_NAMED ? ' and others' : '';
  return `Refused: ${named.join(', ')}${more}`;
}
