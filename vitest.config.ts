import { defineConfig } from 'vitest/config';

/** Three tiers: pure units, contracts over real SQLite and sockets in process, and the built product end to end. */
export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    // The end-to-end tests mostly wait for processes of their own, so that one more worker than cores pays.
    maxWorkers: 4,
    projects: [
      {
        extends: true,
        test: { name: 'unit', isolate: false, include: ['test/unit/**/*.test.ts'], testTimeout: 20_000 },
      },
      {
        extends: true,
        test: { name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 20_000 },
      },
      // Long forms by `npm run soak`; the short ones run in CI.
      {
        extends: true,
        test: {
          name: 'soak',
          include: ['test/soak/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          isolate: false,
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
