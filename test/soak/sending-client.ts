import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient } from '../../src/client/index.js';
import { message } from '../support/test-server.js';
import type { DaemonLife } from './daemon-life.js';
import type { Seeded } from './seeded.js';

/** Refusals that say: the server has it from the time before, when its answer got lost. */
const HAS_IT = ['already_sent', 'in_progress'];
const LARGEST_BATCH = 8;
const LONGEST_PAUSE_MS = 40;

/** An application that posts without end, keeps what was acknowledged, and posts again what got no answer. */
export class SendingClient {
  readonly acknowledged = new Set<string>();
  /** Why the last call got no answer. */
  trouble: unknown;
  readonly #tenantId: string;
  readonly #client: Client;
  readonly #random: Seeded;
  #unanswered: string[] = [];
  #posted = 0;

  /** Ids begin with the name of the tenant. */
  constructor(tenantId: string, options: { url: string; token: string; random: Seeded }) {
    this.#tenantId = tenantId;
    this.#client = createClient(options);
    this.#random = options.random;
  }

  /** Posts for as long as the daemon lives, and there is room for more. */
  async postUntilEnd(life: DaemonLife, hasRoom: () => boolean): Promise<void> {
    while (!life.isOver) {
      if (hasRoom()) await this.postBatch();
      await sleep(this.#random.whole(0, LONGEST_PAUSE_MS));
    }
  }

  /** Posts what got no answer before, else something new. Does not reject: without an answer it is posted again. */
  async postBatch(): Promise<void> {
    const isAgain = this.#unanswered.length > 0;
    if (!isAgain) {
      const count = this.#random.whole(1, LARGEST_BATCH);
      this.#unanswered = Array.from({ length: count }, () => `${this.#tenantId}-${++this.#posted}`);
    }
    const messages = this.#unanswered.map((id) => message(id, { tenant_id: this.#tenantId }));
    try {
      const { rejected } = await this.#client.addMessages({ messages });
      const refused = rejected.filter(({ code }) => !(isAgain && HAS_IT.includes(code)));
      if (refused.length > 0) throw new Error(`Refused: ${JSON.stringify(refused)}`);
      for (const id of this.#unanswered) this.acknowledged.add(id);
      this.#unanswered = [];
    } catch (error) {
      this.trouble = error;
    }
  }

  /** Posts until nothing is left that got no answer. */
  async finish(): Promise<void> {
    for (let tries = 0; this.#unanswered.length > 0; tries++) {
      if (tries > 20) throw this.trouble;
      await this.postBatch();
    }
  }
}
