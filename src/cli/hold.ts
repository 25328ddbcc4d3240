import type { HoldWire } from '../core/wire.js';
import { formatTime } from './output.js';

/** Says in one line what holds a message, and until when. */
export function holdSentence(hold: NonNullable<HoldWire> | NonNullable<HoldWire>['gates'][number]): string {
  return hold.until_ts === null ? hold.reason : `${hold.reason} Until ${formatTime(hold.until_ts * 1000)}.`;
}
