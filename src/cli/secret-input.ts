import { createReadStream } from 'node:fs';
import { MailProxyError } from '../core/errors.js';

/** Most bytes that a secret read from a file or from stdin may have. */
export const MAX_SECRET_BYTES = 64 * 1024;

/** Where a secret may come from in one call. What was not given is undefined. */
export interface SecretInput {
  /** What the secret is, for messages: `password`. Flags are named after it. */
  name: string;
  /** `--<name>-stdin` was given. */
  fromStdin?: boolean | undefined;
  /** Path given by `--<name>-file`. */
  file?: string | undefined;
  /** Value given by `--<name>`, which others on the host can read. */
  flag?: string | undefined;
  /** Value of the environment variable for it. */
  environment?: string | undefined;
  /** Asks a person; left out when nobody can be asked. */
  ask?: (() => Promise<string>) | undefined;
  /** Receives the warning about a secret on the command line. */
  warn: (message: string) => void;
  /** @defaultValue process.stdin */
  stdin?: AsyncIterable<Uint8Array | string>;
}

/**
 * Reads a secret from the one flag that names a source, else from the environment, else by asking. A trailing
 * line break is taken off what comes from stdin or a file, and nothing else.
 *
 * @returns undefined when no source was given and nobody can be asked.
 * @throws MailProxyError `usage` for two flags at once, or a secret that is empty, too long or no UTF-8;
 * `file_unreadable`.
 */
export async function readSecret(input: SecretInput): Promise<string | undefined> {
  const { name, fromStdin, file, flag, environment, ask } = input;
  if ([fromStdin === true, file !== undefined, flag !== undefined].filter(Boolean).length > 1) {
    throw new MailProxyError(
      'usage',
      `Give the ${name} in one way only: --${name}-stdin, --${name}-file or --${name}.`,
    );
  }
  if (fromStdin) return decode(await readBounded(input.stdin ?? process.stdin, name), name, 'stdin');
  if (file !== undefined) return decode(await readFileBounded(file, name), name, file);
  if (flag !== undefined) {
    input.warn(
      `Others on this host can read a ${name} that is on a command line; --${name}-stdin and --${name}-file keep it private.`,
    );
    return notEmpty(flag, name, `--${name}`);
  }
  if (environment) return environment;
  return ask?.();
}

async function readFileBounded(file: string, name: string): Promise<Buffer> {
  const stream = createReadStream(file, { highWaterMark: MAX_SECRET_BYTES });
  try {
    return await readBounded(stream, name);
  } catch (cause) {
    if (cause instanceof MailProxyError) throw cause;
    throw new MailProxyError(
      'file_unreadable',
      `The file of --${name}-file cannot be read: ${reason(cause)}.`,
      { cause },
    );
  } finally {
    stream.destroy();
  }
}

async function readBounded(source: AsyncIterable<Uint8Array | string>, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > MAX_SECRET_BYTES) throw new MailProxyError('usage', `The ${name} is longer than 64 KiB.`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function decode(bytes: Buffer, name: string, source: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new MailProxyError('usage', `The ${name} from ${source} is not UTF-8 text.`);
  }
  return notEmpty(text.replace(/\r?\n$/, ''), name, source);
}

function notEmpty(value: string, name: string, source: string): string {
  if (value === '') throw new MailProxyError('usage', `The ${name} from ${source} is empty.`);
  return value;
}

function reason(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason';
}
