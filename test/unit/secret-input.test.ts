import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_SECRET_BYTES, readSecret, type SecretInput } from '../../src/cli/secret-input.js';

const warnings: string[] = [];
const read = (input: Partial<SecretInput>) =>
  readSecret({ name: 'password', warn: (message) => warnings.push(message), ...input });

async function* chunks(...parts: Array<string | Uint8Array>) {
  yield* parts;
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'secret-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function fileWith(content: string | Buffer): Promise<string> {
  const file = join(directory, randomUUID());
  await writeFile(file, content);
  return file;
}

describe('readSecret', () => {
  it.each([
    ['s3cret\n', 's3cret'],
    ['s3cret\r\n', 's3cret'],
    ['s3cret\n\n', 's3cret\n'],
    [' s3cret ', ' s3cret '],
    ['ENC:x', 'ENC:x'],
  ])('takes one line break off %j and nothing else', async (content, secret) => {
    expect(await read({ fromStdin: true, stdin: chunks(content) })).toBe(secret);
    expect(await read({ file: await fileWith(content) })).toBe(secret);
  });

  it('joins characters that arrive in two chunks', async () => {
    const bytes = Buffer.from('pä');
    expect(await read({ fromStdin: true, stdin: chunks(bytes.subarray(0, 2), bytes.subarray(2)) })).toBe(
      'pä',
    );
  });

  it('prefers a flag to the environment, and the environment to asking', async () => {
    const ask = async () => 'asked';
    expect(await read({ flag: 'flag', environment: 'env', ask })).toBe('flag');
    expect(await read({ environment: 'env', ask })).toBe('env');
    expect(await read({ environment: '', ask })).toBe('asked');
    expect(await read({})).toBeUndefined();
  });

  it('warns that a secret on the command line can be read by others', async () => {
    warnings.length = 0;
    await read({ flag: 's3cret' });
    expect(warnings.join()).toContain('Others on this host');
    expect(warnings.join()).not.toContain('s3cret');
  });

  it.each([
    { fromStdin: true, file: 'x' },
    { fromStdin: true, flag: 'x' },
    { file: 'x', flag: 'x' },
  ])('refuses two sources at once: %o', async (input) => {
    await expect(read({ ...input, stdin: chunks('x') })).rejects.toMatchObject({ code: 'usage' });
  });

  it.each(['', '\n'])('refuses the empty secret %j', async (content) => {
    await expect(read({ fromStdin: true, stdin: chunks(content) })).rejects.toMatchObject({ code: 'usage' });
    await expect(read({ file: await fileWith(content) })).rejects.toMatchObject({ code: 'usage' });
  });

  it('reads 64 KiB and not a byte more', async () => {
    const most = 'x'.repeat(MAX_SECRET_BYTES);
    expect(await read({ file: await fileWith(most) })).toBe(most);
    await expect(read({ file: await fileWith(`${most}x`) })).rejects.toMatchObject({ code: 'usage' });
    await expect(read({ fromStdin: true, stdin: chunks(most, 'x') })).rejects.toMatchObject({
      code: 'usage',
    });
  });

  it('says so when a file is no text or cannot be read', async () => {
    await expect(read({ file: await fileWith(Buffer.from([0xff, 0xfe])) })).rejects.toMatchObject({
      code: 'usage',
    });
    await expect(read({ file: join(directory, 'no-such-secret') })).rejects.toMatchObject({
      code: 'file_unreadable',
    });
  });
});
