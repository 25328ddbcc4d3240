import type { MessageState, MessageStatus } from '../core/types.js';
import type { Stopped } from './stopped.js';

/**
 * States in which a message can have a status. What is stopped keeps its state until the dispatcher meets it, and what was
 * activated is parked until its turn to be freed comes: so these three are told apart by what is stopped now.
 */
const STATES_OF: Record<MessageStatus, readonly MessageState[]> = {
  pending: ['ready', 'suspended'],
  deferred: ['waiting'],
  suspended: ['ready', 'waiting', 'suspended'],
  sending: ['sending'],
  uncertain: ['uncertain'],
  sent: ['sent'],
  error: ['error'],
};

const UNSENT: readonly MessageState[] = ['ready', 'waiting', 'suspended'];
const ACTIVE: readonly MessageState[] = [...UNSENT, 'sending', 'uncertain'];

/** Status of a message as people see it. */
export function statusOf(state: MessageState, isStopped: boolean): MessageStatus {
  if (!UNSENT.includes(state)) return state as MessageStatus;
  if (isStopped) return 'suspended';
  return state === 'waiting' ? 'deferred' : 'pending';
}

/** Which rows have a status: those in `states`, and of them those that are stopped, or are not, if that matters. */
export interface StatusFilter {
  /** Undefined is any. */
  states: readonly MessageState[] | undefined;
  /** Undefined when each row in `states` fits. */
  stopped: boolean | undefined;
}

/** Turns a status into what is looked for in the rows; `states` is empty when no row can fit. */
export function statusFilter(
  status: MessageStatus | undefined,
  activeOnly: boolean,
  { nothing, everything, freeing }: Pick<Stopped, 'nothing' | 'everything' | 'freeing'>,
): StatusFilter {
  if (status === undefined) return { states: activeOnly ? ACTIVE : undefined, stopped: undefined };
  const states = STATES_OF[status].filter((state) => !activeOnly || ACTIVE.includes(state));
  const isAboutUnsent = STATES_OF[status].some((state) => UNSENT.includes(state));
  if (!isAboutUnsent) return { states, stopped: undefined };
  const stopped = status === 'suspended';
  const noneFits = stopped ? nothing : everything;
  if (noneFits) return { states: [], stopped: undefined };
  const allFit = stopped ? everything : nothing;
  // What is parked is pending only while it is being freed: else all of it would be looked through in vain.
  const useful = stopped || freeing ? states : states.filter((state) => state !== 'suspended');
  return { states: useful, stopped: allFit ? undefined : stopped };
}
