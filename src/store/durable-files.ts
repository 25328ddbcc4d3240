import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

/** Brings a file, or the names in a directory, to the disk. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Brings the name of a file to the disk: after a rename only this makes it last. */
export function syncDirectoryOf(path: string): void {
  syncPath(dirname(path));
}
