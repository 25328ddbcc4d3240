import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import type { Millis } from '../core/types.js';

/** Trouble that was not met for so long is over: when it comes back it is told at once. */
const OVER_AFTER_MS: Millis = 60_000;
const REMIND_EVERY_MS: Millis = 3_600_000;

interface Trouble {
  toldAt: Millis;
  metAt: Millis;
  untold: number;
}

/**
 * Makes a log that tells a trouble of the store once, whoever meets it: while a disk is full every message, request and retry
 * does. It is told again after an hour, and when it comes back after it was over.
 */
export function quietAboutStore(log: Log, now: () => Millis): Log {
  const known = new Map<string, Trouble>();
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.info(message, fields),
    warn: (message, fields) => log.warn(message, fields),
    error(message, fields) {
      const error = fields?.err;
      if (!(error instanceof MailProxyError) || error.code !== 'store_unavailable') {
        log.error(message, fields);
        return;
      }
      const at = now();
      for (const [sentence, { metAt }] of known) if (at - metAt > OVER_AFTER_MS) known.delete(sentence);
      const trouble = known.get(error.message);
      if (trouble === undefined) {
        known.set(error.message, { toldAt: at, metAt: at, untold: 0 });
        log.error(message, fields);
        return;
      }
      trouble.metAt = at;
      if (at - trouble.toldAt < REMIND_EVERY_MS) {
        trouble.untold++;
        return;
      }
      log.error(message, { ...fields, untold: trouble.untold });
      trouble.toldAt = at;
      trouble.untold = 0;
    },
  };
}
