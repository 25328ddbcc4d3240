import { chmodSync, mkdirSync } from 'node:fs';

/**
 * Makes a directory that only its owner may enter (mode 0700), whatever the umask.
 *
 * @param whenThere - Whether one that is there already keeps the mode its owner gave it.
 */
export function makePrivateDirectory(path: string, whenThere: 'keep' | 'tighten' = 'tighten'): void {
  const created = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (created !== undefined || whenThere === 'tighten') chmodSync(path, 0o700);
}
