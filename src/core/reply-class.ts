import type { SendOutcome } from './smtp-outcome.js';

/** How an attempt ended, as a server's operator would count it: by the first digit of the reply, or without one. */
export const REPLY_CLASSES = ['2xx', '4xx', '5xx', 'connection'] as const;

/** One of {@link REPLY_CLASSES}. */
export type ReplyClass = (typeof REPLY_CLASSES)[number];

/** Undefined when the server was never asked: it could not have taken the message, whatever it said. */
export function replyClassOf({ recipients, final, failure }: SendOutcome): ReplyClass | undefined {
  if (failure !== null) return failure.isLocalRefusal ? undefined : refusalClass(failure.code);
  if (final !== null) return final.code !== null && final.code < 300 ? '2xx' : refusalClass(final.code);
  // Every recipient was refused. One that is tried again makes the message one that is.
  const classes = recipients.map(({ code }) => refusalClass(code));
  return classes.find((of) => of !== '5xx') ?? '5xx';
}

function refusalClass(code: number | null): ReplyClass {
  if (code === null || code < 400 || code > 599) return 'connection';
  return code < 500 ? '4xx' : '5xx';
}
