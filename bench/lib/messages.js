/** Two kilobytes of text in lines, as of a short letter. */
const TEXT = `${'All of this is text of a message that nobody reads but a benchmark.\r\n'.repeat(29)}`;

/** A message as a client posts it. */
export function wireMessage(id, changes = {}) {
  return {
    id,
    from: 'Bench <bench@example.com>',
    to: 'recipient@example.net',
    subject: `Message ${id}`,
    text: TEXT,
    ...changes,
  };
}

/** The same message as nodemailer takes it. */
export function nodemailerMessage(id) {
  return {
    from: 'Bench <bench@example.com>',
    to: 'recipient@example.net',
    subject: `Message ${id}`,
    text: TEXT,
  };
}
