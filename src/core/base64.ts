import { MailProxyError } from './errors.js';

/**
 * Decodes base64 that has nothing but base64 (and line breaks) in it; Node's own decoder skips what it does not know.
 *
 * @param what - For the sentence, such as `The attachment`.
 * @throws MailProxyError `validation_failed`
 */
export function decodeBase64(what: string, text: string): Buffer {
  const compact = /\s/.test(text) ? text.replace(/[ \t\r\n]+/g, '') : text;
  const content = Buffer.from(compact, 'base64');
  if (content.toString('base64') !== compact) {
    throw new MailProxyError(
      'validation_failed',
      `${what} is not valid base64: encode it with padding (RFC 4648, 4).`,
    );
  }
  return content;
}
