import fc from 'fast-check';
import MailComposer from 'nodemailer/lib/mail-composer';
import { describe, expect, it } from 'vitest';
import { octetsOf } from '../../src/delivery/mime-octets.js';

const LONG = 'é'.repeat(20_000);

/** Two trees of the same message: building the headers of one changes it. */
function trees(message: ConstructorParameters<typeof MailComposer>[0]) {
  const options = { baseBoundary: 'b', messageId: '<1@b.com>', date: new Date(0), ...message };
  return [new MailComposer(options).compile(), new MailComposer(options).compile()] as const;
}

/** As the library's own stream ends a message. */
async function streamed(tree: ReturnType<typeof trees>[0]): Promise<string> {
  return (await tree.build()).toString('latin1');
}

const words = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc
    .array(fc.constantFrom('a', 'é', '=', ' ', '\t', '.', '\r\n', '\n', '\r', '😀', 'word '), {
      maxLength: 300,
    })
    .map((parts) => parts.join('')),
);

describe('octetsOf', () => {
  it('gives what the library’s own stream gives, whatever the message', async () => {
    const attachment = fc.record({
      filename: fc.constantFrom('a.txt', 'b.bin', 'ü.pdf'),
      contentType: fc.constantFrom(
        'text/plain',
        'text/csv; charset=latin1',
        'application/pdf',
        'message/rfc822',
      ),
      content: fc.oneof(
        words.map((text) => Buffer.from(text)),
        fc.uint8Array({ maxLength: 400 }).map((octets) => Buffer.from(octets)),
      ),
    });
    const message = fc.record(
      { text: words, html: words, subject: words, attachments: fc.array(attachment, { maxLength: 3 }) },
      { requiredKeys: [] },
    );
    let atOnce = 0;
    await fc.assert(
      fc.asyncProperty(message, async (given) => {
        const [one, other] = trees({ from: 'a@b.com', to: 'x@y.com', ...given });
        const octets = octetsOf(one)?.toString('latin1');
        if (octets === undefined) return;
        atOnce++;
        const wanted = await streamed(other);
        expect(octets.endsWith('\n') ? octets : `${octets}${octets.endsWith('\r') ? '\n' : '\r\n'}`).toBe(
          wanted,
        );
      }),
      { numRuns: 500 },
    );
    expect(atOnce).toBeGreaterThan(300);
  });

  it('leaves long content to the stream', () => {
    expect(octetsOf(trees({ text: LONG })[0])).toBeUndefined();
    expect(octetsOf(trees({ attachments: [{ content: Buffer.alloc(70_000) }] })[0])).toBeUndefined();
  });

  it('leaves octets that are no text and go out unencoded to the stream', () => {
    const content = Buffer.from([0x66, 0xff]);
    expect(octetsOf(trees({ attachments: [{ content, contentType: 'message/rfc822' }] })[0])).toBeUndefined();
  });
});
