import type { TestApp } from './http.js';
import { ADMIN } from './http.js';

/** A scrape, taken apart. */
export interface Scrape {
  text: string;
  /** Kind of each family by its name. */
  types: Map<string, string>;
  /** Value of each sample by its name and labels as they are written, such as `gmp_lanes{state="idle"}`. */
  samples: Map<string, number>;
  /** One sample; undefined when there is none. */
  of(name: string, labels?: Record<string, string>): number | undefined;
}

const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
const SAMPLE = new RegExp(
  `^([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{${LABEL}(?:,${LABEL})*\\})? ([-+]?(?:[0-9.]+(?:e[-+]?[0-9]+)?|Inf)|NaN)$`,
);
const COMMENT = /^# (?:HELP ([a-z_]+) \S.*|TYPE ([a-z_]+) (counter|gauge|histogram))$/;

/** Reads the Prometheus text format, and refuses what is not it. */
export function parseScrape(text: string): Scrape {
  const types = new Map<string, string>();
  const samples = new Map<string, number>();
  if (!text.endsWith('\n')) throw new Error('The last line has no end.');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    if (line.startsWith('#')) {
      const [, , typed, type] = COMMENT.exec(line) ?? [];
      if (!COMMENT.test(line) || (typed !== undefined && types.has(typed)))
        throw new Error(`No comment: ${line}`);
      if (typed !== undefined) types.set(typed, type as string);
      continue;
    }
    const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (name === undefined) throw new Error(`No sample: ${line}`);
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(family)) throw new Error(`A sample of nothing: ${line}`);
    if (samples.has(name + labels)) throw new Error(`Twice: ${line}`);
    samples.set(name + labels, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value));
  }
  return {
    text,
    types,
    samples,
    of(name, labels = {}) {
      const written = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
      return samples.get(written.length === 0 ? name : `${name}{${written.join(',')}}`);
    },
  };
}

/** Scrapes an app as the admin. */
export async function scrape(server: Pick<TestApp, 'request'>): Promise<Scrape> {
  const answer = await server.request('GET', '/metrics', { token: ADMIN });
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`);
  return parseScrape(answer.text);
}
