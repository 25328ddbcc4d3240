import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import {
  processIdentity,
  type RunState,
  readRunState,
  removeRunState,
  removeRunStateOf,
  writeRunState,
} from '../../src/config/run-state.js';
import { useCleanup } from '../support/cleanup.js';

const closing = useCleanup();
let directory = '';
beforeEach(() => {
  directory = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-run-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
});

const state: RunState = {
  pid: process.pid,
  processIdentity: processIdentity(process.pid),
  lock: '/srv/mail_service.db.lock',
  host: '127.0.0.1',
  port: 8000,
  url: 'http://127.0.0.1:8000',
  version: '1',
  startedAt: 1,
};

test('the state is written in one step, for the owner only, and read back', () => {
  const path = join(directory, 'daemon.json');
  writeRunState(path, state);
  expect(readRunState(path)).toEqual(state);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(['daemon.json']);
  removeRunState(path);
  removeRunState(path);
  expect(readRunState(path)).toBeUndefined();
});

test('the state of another daemon than the one meant stays', () => {
  const path = join(directory, 'daemon.json');
  const next = { ...state, startedAt: 2 };
  writeRunState(path, next);
  removeRunStateOf(path, state);
  expect(readRunState(path)).toEqual(next);
  removeRunStateOf(path, next);
  expect(readRunState(path)).toBeUndefined();
});

test.each([
  'null',
  '{',
  '[]',
  '{"pid":"1","url":"x"}',
  '{"pid":0,"url":"x"}',
  '{"pid":-1,"url":"x"}',
  '{"pid":1}',
])('what is no state is none: %s (a signal to pid 0 or -1 would reach every process)', (text) => {
  const path = join(directory, 'daemon.json');
  writeFileSync(path, text);
  expect(readRunState(path)).toBeUndefined();
});

test('a process is told from others by more than its pid', () => {
  expect(processIdentity(process.pid)).toBe(processIdentity(process.pid));
  expect(processIdentity(process.pid)).toMatch(/^\d+@pid:\[\d+\]$/);
  expect(processIdentity(process.pid)).not.toBe(processIdentity(process.ppid));
  expect(processIdentity(2 ** 30)).toBe('');
});
