import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of its own that can be filled to the last byte. */
export interface SmallDisk {
  path: string;
  /** Takes all space that is left. */
  fill(): void;
  /** Gives it back. */
  empty(): void;
  close(): void;
}

const works = (command: string, ...args: string[]): boolean => {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** Mounts a small disk; undefined where this process may not. */
export function mountSmallDisk(megabytes: number): SmallDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), 'mail-proxy-disk-'));
  if (!works('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path)) {
    rmSync(path, { recursive: true });
    return undefined;
  }
  const filler = join(path, 'filler');
  return {
    path,
    fill() {
      const fd = openSync(filler, 'a');
      try {
        for (const size of [1_000_000, 4096]) {
          try {
            for (;;) writeSync(fd, Buffer.alloc(size));
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
          }
        }
      } finally {
        closeSync(fd);
      }
    },
    empty: () => rmSync(filler, { force: true }),
    close() {
      works('umount', '-l', path);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** Lets nobody write to files any more, root and those who have them open included, as a disk that went bad does. */
export function setUnwritable(paths: readonly string[], unwritable: boolean): boolean {
  return works('chattr', unwritable ? '+i' : '-i', ...paths);
}

/** Whether {@link setUnwritable} works here. */
export function canSetUnwritable(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'mail-proxy-chattr-'));
  const file = join(directory, 'x');
  writeFileSync(file, '');
  const fd = openSync(file, 'r+');
  try {
    if (!setUnwritable([file], true)) return false;
    writeSync(fd, 'x');
    return false;
  } catch {
    return true;
  } finally {
    closeSync(fd);
    setUnwritable([file], false);
    rmSync(directory, { recursive: true });
  }
}
