import type { Hook } from '@oclif/core/hooks';
import { MailProxyError } from '../core/errors.js';
import { closest } from './did-you-mean.js';
import { COMMANDS } from './vocabulary.js';

/**
 * The failure for a command that does not exist, with the one that was probably meant.
 *
 * @param id - Words joined by `:` or a space; the words after a real command are arguments it does not take.
 * @param ids - Ids of the commands that exist, joined by `:`.
 */
export function unknownCommand(id: string, ids: readonly string[]): MailProxyError {
  const words = id.split(/[: ]/);
  for (let length = words.length - 1; length > 0; length--) {
    if (!ids.includes(words.slice(0, length).join(':'))) continue;
    const command = words.slice(0, length).join(' ');
    return new MailProxyError(
      'usage',
      `There are more arguments than it takes. \`mail-proxy ${command} --help\` shows the usage.`,
    );
  }
  const typed = words.slice(0, 2).join(' ');
  const known = ids.map((each) => each.replaceAll(':', ' '));
  const meant = closest(typed, known);
  const shown = typed.replace(/[^\x20-\x7e]/g, '?').slice(0, 64);
  if (meant)
    return new MailProxyError(
      'unknown_command',
      `There is no command \`${shown}\`. Did you mean \`${meant}\`?`,
    );
  const actions = known.filter((each) => each.startsWith(`${words[0]} `));
  const hint =
    actions.length > 0
      ? `There is ${actions.map((each) => `\`${each}\``).join(', ')}.`
      : 'See `mail-proxy help`.';
  const what = COMMANDS.has(typed)
    ? `\`${typed}\` is not available in this version`
    : `There is no command \`${shown}\``;
  return new MailProxyError('unknown_command', `${what}. ${hint}`);
}

/** oclif's hook for an id that is no command. */
const hook: Hook.CommandNotFound = async ({ id, config }) => {
  throw unknownCommand(id, config.commandIDs);
};

export default hook;
