import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface LockedPackage {
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}

const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, LockedPackage>;
};

test('the lock file names every optional package of every platform, or npm ci refuses it', () => {
  const missing = Object.entries(lock.packages)
    .filter(([path]) => path !== '')
    .flatMap(([, { optionalDependencies = {} }]) => Object.keys(optionalDependencies))
    .filter((name) => lock.packages[`node_modules/${name}`] === undefined);
  expect(missing).toEqual([]);
});

test('the lock file names no place to download from', () => {
  expect(Object.values(lock.packages).filter(({ resolved }) => resolved?.includes('://'))).toEqual([]);
});
