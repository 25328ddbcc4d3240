import { createHash } from 'node:crypto';
import { decodeBase64 } from './base64.js';
import { MailProxyError } from './errors.js';
import { parseHeaderValue } from './header.js';
import type { ComposedMessage } from './types.js';

/** Longest attachment name in UTF-16 units. */
const MAX_FILENAME = 200;
const MD5_MARKER = /_?\{MD5:([0-9A-Fa-f]{32})\}/;
const MEDIA_TYPE =
  /^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}(?:; ?charset=[a-z0-9_-]{1,40})?$/i;

/** How the content of an attachment is come by. */
export const FETCH_MODES = ['base64', 'filesystem', 'endpoint', 'http_url'] as const;

/** One of {@link FETCH_MODES}. */
export type FetchMode = (typeof FETCH_MODES)[number];

/** An attachment as a client describes it; null is the same as absent. */
export interface WireAttachment {
  filename: string;
  storage_path: string;
  fetch_mode?: FetchMode | null | undefined;
  mime_type?: string | null | undefined;
  content_md5?: string | null | undefined;
  auth?: unknown;
}

/** The mode that a storage path without `fetch_mode` means. */
export function inferFetchMode(storagePath: string): FetchMode {
  if (storagePath.startsWith('base64:')) return 'base64';
  if (/^https?:\/\//i.test(storagePath)) return 'http_url';
  return storagePath.startsWith('/') ? 'filesystem' : 'endpoint';
}

/**
 * Splits a file name into the name that the recipient sees and the MD5 that the older `{MD5:<hex>}` marker carries. The
 * name keeps only what stands behind the last path separator, without control and bidirectional characters.
 */
export function parseFilename(text: string): { filename: string; md5: string | undefined } {
  const md5 = MD5_MARKER.exec(text)?.[1]?.toLowerCase();
  const name = text.replace(MD5_MARKER, '').split(/[/\\]/).pop() ?? '';
  const clean = name.replace(/[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu, '').trim();
  const kept = clean.length > MAX_FILENAME ? clean.slice(0, MAX_FILENAME - 20) + clean.slice(-20) : clean;
  return { filename: /^\.*$/.test(kept) ? 'attachment' : kept, md5 };
}

function parseMediaType(text: string): string {
  const type = text.trim().toLowerCase();
  const composite =
    type.startsWith('multipart/') || (type.startsWith('message/') && type !== 'message/rfc822');
  if (!MEDIA_TYPE.test(type) || composite) {
    throw new MailProxyError(
      'validation_failed',
      'The mime_type of an attachment must be one like application/pdf.',
    );
  }
  return type;
}

/**
 * Turns an attachment of the wire into what is stored: inline content only, its MD5 checked when one is given. An empty
 * `contentType` means that the composer derives it from the file name.
 *
 * @throws MailProxyError `not_supported` for a fetch mode or `auth` that is not built; `validation_failed` otherwise
 */
export function parseAttachment(wire: WireAttachment): ComposedMessage['attachments'][number] {
  const mode = wire.fetch_mode ?? inferFetchMode(wire.storage_path);
  if (mode !== 'base64') {
    throw new MailProxyError(
      'not_supported',
      `Attachments of fetch_mode ${mode} are not supported yet: send the content as base64.`,
    );
  }
  if (wire.auth !== undefined && wire.auth !== null) {
    throw new MailProxyError(
      'not_supported',
      'The auth of an attachment is not supported yet: leave it out.',
    );
  }
  const { filename, md5 } = parseFilename(wire.filename);
  parseHeaderValue('The attachment name', filename);
  const encoded = wire.storage_path.startsWith('base64:') ? wire.storage_path.slice(7) : wire.storage_path;
  const content = decodeBase64('The attachment', encoded);
  const actual = createHash('md5').update(content).digest('hex');
  const expected = [wire.content_md5?.toLowerCase() ?? undefined, md5].filter((hash) => hash !== undefined);
  if (expected.some((hash) => hash !== actual)) {
    throw new MailProxyError('validation_failed', 'The content of the attachment does not match its MD5.');
  }
  const type = wire.mime_type ?? '';
  return {
    filename,
    contentType: type === '' ? '' : parseMediaType(type),
    base64: content.toString('base64'),
  };
}
