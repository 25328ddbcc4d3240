import { type Duplex, PassThrough, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { MarkedBody } from '../../src/delivery/marked-body.js';

/** A stream like the library's, read by a connection that takes a piece at a time, each only in another turn of the event loop. */
function slowTaker(): { stream: Duplex; taken: Buffer[]; longest: () => number } {
  const taken: Buffer[] = [];
  let longest = 0;
  const connection = new Writable({
    highWaterMark: 16 * 1024,
    write(chunk: Buffer, _encoding, done) {
      taken.push(chunk);
      longest = Math.max(longest, connection.writableLength + stream.readableLength + stream.writableLength);
      setImmediate(done);
    },
  });
  const stream = new PassThrough();
  stream.pipe(connection, { end: false });
  return { stream, taken, longest: () => longest };
}

/** All that was ready has happened. */
const turn = () => new Promise((resolve) => setImmediate(resolve));
const ended = (stream: Duplex) => new Promise((resolve) => stream.once('end', resolve));

describe('MarkedBody', () => {
  it('hands over a large message whole, never more of it at once than the connection takes', async () => {
    const message = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => i % 251));
    const { stream, taken, longest } = slowTaker();
    const body = new MarkedBody(message, async () => undefined);
    const finished = ended(stream);
    body.pipe(stream);
    expect(body.ended).toBe(false);
    await finished;
    expect(Buffer.concat(taken).equals(message)).toBe(true);
    expect(longest()).toBeLessThanOrEqual(200 * 1024);
    expect(body).toMatchObject({ asked: true, started: true, ended: true, refusal: null });
  });

  it('hands over an empty message', async () => {
    const { stream, taken } = slowTaker();
    const finished = ended(stream);
    const body = new MarkedBody(Buffer.alloc(0), async () => undefined);
    body.pipe(stream);
    await finished;
    expect(Buffer.concat(taken)).toHaveLength(0);
    expect(body.ended).toBe(true);
  });

  it('hands over nothing before it is allowed to', async () => {
    const { stream, taken } = slowTaker();
    let allow = (): void => undefined;
    const body = new MarkedBody(Buffer.from('x'), () => new Promise((resolve) => (allow = resolve)));
    const finished = ended(stream);
    body.pipe(stream);
    await turn();
    expect(taken).toEqual([]);
    expect(body).toMatchObject({ asked: true, started: false });
    allow();
    await finished;
    expect(taken.map(String)).toEqual(['x']);
  });

  it('hands over nothing when it is refused, and says why', async () => {
    const { stream, taken } = slowTaker();
    const reason = new Error('no');
    const body = new MarkedBody(Buffer.from('x'), () => Promise.reject(reason));
    const failed = new Promise((resolve) => body.once('error', resolve));
    body.pipe(stream);
    await failed;
    await body.stop();
    expect(body).toMatchObject({ started: false, ended: false, refusal: { reason } });
    expect(taken).toEqual([]);
  });

  it('hands over nothing once it was stopped, and stops only when leave was given or refused', async () => {
    const { stream, taken } = slowTaker();
    let allow = (): void => undefined;
    const body = new MarkedBody(Buffer.from('x'), () => new Promise((resolve) => (allow = resolve)));
    body.pipe(stream);
    await turn();
    const stopped = body.stop();
    allow();
    await stopped;
    expect(taken).toEqual([]);
    expect(body.started).toBe(false);
  });
});
