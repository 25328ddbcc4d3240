import { failPoint } from '../core/fail-points.js';
import type { ComposedMessage } from '../core/types.js';
import type { DestinationGuard } from './destination-guard.js';
import { composeMime } from './mime.js';
import { createOneATurn } from './one-a-turn.js';
import type { Connections, Sender, SenderEndpoint, StoredContent } from './sender.js';
import { drained, FIRST_COME, isBefore, SessionPool } from './session-pool.js';

/** Sends in the thread that it is called from. */
export function createLocalSender(guard: DestinationGuard): Sender {
  const turn = createOneATurn(isBefore);
  return {
    open({ isGuarded, ...endpoint }: SenderEndpoint, { maxConnections }): Connections {
      const pool = new SessionPool({ ...endpoint, ...(isGuarded ? { guard } : {}) }, { maxConnections });
      let timesAbandoned = 0;
      return {
        async send(order, mark) {
          const before = timesAbandoned;
          await turn(order.place ?? FIRST_COME);
          const bytes = await composed(order);
          failPoint('composed');
          // It was not in line yet when what waits was given up.
          if (timesAbandoned > before) throw drained();
          return await pool.send(order.envelope, bytes, mark, order.place);
        },
        abandonWaiting: () => {
          timesAbandoned++;
          pool.abandonWaiting();
        },
        drain: () => pool.drain(),
        destroy: () => pool.destroy(),
      };
    },
    close: async () => undefined,
  };
}

async function composed({ kind, content }: StoredContent): Promise<Buffer> {
  if (kind === 'raw') return content;
  return await composeMime(JSON.parse(content.toString('utf8')) as ComposedMessage);
}
