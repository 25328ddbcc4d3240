import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { MailProxyError } from '../core/errors.js';

/**
 * Makes a directory that only its owner may enter (mode 0700), whatever the umask.
 *
 * @param whenThere - Whether one that is there already keeps the mode its owner gave it.
 * @throws MailProxyError `start_failed` when it cannot be made.
 */
export function makePrivateDirectory(path: string, whenThere: 'keep' | 'tighten' = 'tighten'): void {
  try {
    const created = makeWithParents(path);
    if (created || whenThere === 'tighten') chmodSync(path, 0o700);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new MailProxyError(
      'start_failed',
      `The directory ${path} cannot be made (${code}): choose another place.`,
      {
        cause,
      },
    );
  }
}

/** Step by step: Node's own recursive form never ends where a file system answers that an existing parent is missing. */
function makeWithParents(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return false;
  const parent = dirname(path);
  if (parent !== path) makeWithParents(parent);
  mkdirSync(path, { mode: 0o700 });
  return true;
}
