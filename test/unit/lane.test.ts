import { beforeEach, describe, expect, test } from 'vitest';
import { parseAllowance } from '../../src/core/destination.js';
import { createDestinationGuard } from '../../src/delivery/destination-guard.js';
import { Lane } from '../../src/delivery/lane.js';
import { createLocalSender } from '../../src/delivery/local-sender.js';

const half = () => 0.5;
let lane = new Lane(1, 'acme');
beforeEach(() => {
  lane = new Lane(1, 'acme');
  lane.maxConnections = 3;
});

describe('a lane', () => {
  test('takes as much as it has connections for', () => {
    expect(lane.capacity(0)).toBe(3);
    lane.active = 2;
    expect(lane.capacity(0)).toBe(1);
    lane.active = 5;
    expect(lane.capacity(0)).toBe(0);
  });

  test('waits after trouble, longer each time, then probes with one', () => {
    expect(lane.trouble(0, half, 'down')).toBe(true);
    expect(lane.capacity(4999)).toBe(0);
    expect(lane.resumesAt(0)).toBe(5000);
    expect(lane.capacity(5000)).toBe(1);
    lane.trouble(5000, half, 'down');
    expect(lane.resumesAt(5000)).toBe(15_000);
  });

  test('counts connections that fail together as one failure', () => {
    lane.trouble(0, half, 'down');
    expect(lane.trouble(10, half, 'down')).toBe(false);
    expect(lane.resumesAt(10)).toBe(5000);
  });

  test('is open again at once when it works, and says whether it had not', () => {
    lane.trouble(0, half, 'down');
    expect(lane.works(1)).toBe(true);
    expect(lane.works(1)).toBe(false);
    expect(lane.capacity(0)).toBe(3);
  });

  test('waits for a limit until its moment, or until it is told to try', () => {
    lane.limitedUntil = 1000;
    expect(lane.capacity(999)).toBe(0);
    expect(lane.resumesAt(0)).toBe(1000);
    expect(lane.resumesAt(1000)).toBeUndefined();
    expect(lane.capacity(1000)).toBe(3);
    lane.probeNow();
    expect(lane.capacity(0)).toBe(3);
  });

  test('forgets old connections only when they are gone', async () => {
    const endpoint = {
      host: '127.0.0.1',
      port: 1,
      tls: 'none' as const,
      tlsVerify: true,
      tlsCa: null,
      user: null,
      password: null,
    };
    const [one, two] = [1, 2].map(() =>
      createLocalSender(createDestinationGuard(parseAllowance(undefined))).open(
        { ...endpoint, isGuarded: false },
        { maxConnections: 1 },
      ),
    );
    lane.replacePool(one);
    lane.replacePool(two);
    expect(lane.pool).toBe(two);
    expect(lane.pools).toEqual([one, two]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(lane.pools).toEqual([two]);
    await lane.close();
    expect([lane.pool, lane.pools]).toEqual([undefined, []]);
  });
});
