import { existsSync, rmSync } from 'node:fs';
import { serverKeyFile } from '../crypto/key-sources.js';

/**
 * Removes the directory of a server that was to be made but never served, so that no list shows it. A directory that was
 * there before, or that holds a key, is left alone.
 *
 * @returns The function to call when the start failed.
 */
export function discardIfNew(directory: string): () => void {
  const isNew = !existsSync(directory);
  return () => {
    if (isNew && !existsSync(serverKeyFile(directory))) rmSync(directory, { recursive: true, force: true });
  };
}
