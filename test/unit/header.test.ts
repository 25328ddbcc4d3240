import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MailProxyError } from '../../src/core/errors.js';
import {
  hasHeaderControl,
  isHeaderName,
  isReservedHeader,
  parseHeaders,
  parseHeaderValue,
} from '../../src/core/header.js';

describe('header names', () => {
  it('follow RFC 5322: printable ASCII without colon and space', () => {
    expect(['X-Tag', 'List-Unsubscribe', '!x'].every(isHeaderName)).toBe(true);
    expect(['', 'X Tag', 'X:Tag', 'X-Tag\r\nBcc', 'É', 'x\x7f', 'a'.repeat(77)].some(isHeaderName)).toBe(
      false,
    );
  });

  it.each([
    'From',
    'BCC',
    'Content-Type',
    'resent-to',
    'DKIM-Signature',
    'X-Genro-Mail-ID',
    'Return-Path',
    'ARC-Seal',
  ])('reserve %s', (name) => {
    expect(isReservedHeader(name)).toBe(true);
    expect(() => parseHeaders({ [name]: 'x' })).toThrow(/cannot be set/);
  });

  it('cannot be given twice in different case', () => {
    expect(() => parseHeaders({ 'X-Tag': '1', 'x-tag': '2' })).toThrow(/twice/);
  });
});

describe('header values', () => {
  it.each(['\r', '\n', '\r\nBcc: x@y.z', '\0', '\x1b', '\x7f', '\u0085'])(
    'pitfall 25: %j never enters a header',
    (bad) => {
      expect(() => parseHeaders({ 'List-Unsubscribe': `<mailto:u@x.com>${bad}` })).toThrow(MailProxyError);
      expect(() => parseHeaderValue('The subject', `a${bad}b`)).toThrow(/control character/);
    },
  );

  it('are trimmed, keep TAB, and stay within what a line can carry', () => {
    expect(parseHeaders({ 'X-Tag': ' a\tb ' })).toEqual([{ key: 'X-Tag', value: 'a\tb' }]);
    expect(() => parseHeaderValue('The subject', 'x'.repeat(901))).toThrow(/without a space/);
    expect(() => parseHeaderValue('The subject', 'x '.repeat(5000))).toThrow(/longer than/);
  });

  it('pass only without any control character but TAB', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.nat(0x1ff).map((code) => String.fromCharCode(code)) }), (text) => {
        const control = [...text].some((char) => {
          const code = char.codePointAt(0) ?? 0;
          return code !== 9 && (code < 32 || (code >= 127 && code < 160));
        });
        expect(hasHeaderControl(text)).toBe(control);
      }),
    );
  });
});
