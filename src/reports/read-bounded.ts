import { CallFailed } from './call-failed.js';

/**
 * Reads a body as text.
 *
 * @param most - Bytes; a longer one is not read to its end.
 * @throws CallFailed when it is longer.
 */
export async function readBounded(body: AsyncIterable<Uint8Array>, most: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > most) throw new CallFailed(`the answer is larger than ${most} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
