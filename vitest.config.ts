import { defineConfig } from 'vitest/config';

/** Three tiers: pure units, contracts over real SQLite and sockets in process, and the built product end to end. */
export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    // The end-to-end tests mostly wait for processes of their own, so that one more worker than cores pays.
    maxWorkers: 3,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 20_000 } },
      {
        extends: true,
        test: { name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 20_000 },
      },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
      },
    ],
  },
});
