import { MailProxyError } from '../core/errors.js';

function tooLarge(limit: number): MailProxyError {
  return new MailProxyError(
    'body_too_large',
    `The body is larger than ${limit} bytes: send it in smaller parts.`,
  );
}

async function readChunks(body: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks, size);
    size += value.byteLength;
    if (size > limit) {
      // Not cancelled: that would cut the connection before the client has read why. The adapter takes in the rest, within bounds.
      reader.releaseLock();
      throw tooLarge(limit);
    }
    chunks.push(value);
  }
}

/**
 * Reads a request's body, never more than `limit` bytes of it: a length that is announced is refused unread, one that is
 * not (chunked) is counted while it arrives.
 *
 * @param length - What the request's headers say of its length.
 * @throws MailProxyError `body_too_large`; `invalid_json` when the client stops in the middle.
 */
export async function readBody(
  request: Request,
  limit: number,
  { announced, isChunked }: { announced: string | undefined; isChunked: boolean },
): Promise<Uint8Array> {
  if (announced !== undefined && Number(announced) > limit) throw tooLarge(limit);
  try {
    // Node holds a client to the length that it announces; only without one does the body have to be counted.
    if (announced !== undefined && !isChunked) {
      const bytes = new Uint8Array(await request.arrayBuffer());
      if (bytes.byteLength > limit) throw tooLarge(limit);
      return bytes;
    }
    if (request.body === null) return new Uint8Array();
    return await readChunks(request.body, limit);
  } catch (error) {
    if (error instanceof MailProxyError) throw error;
    throw new MailProxyError('invalid_json', 'The body ended before it was complete.', { cause: error });
  }
}
