import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { message } from '../support/http.js';
import { type LiveDaemon, startLiveDaemon } from '../support/live-daemon.js';
import { parseScrape, type Scrape } from '../support/scrape.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const ACCOUNT = { tenant_id: 'acme', account_id: 'smtp1' };
/** What Prometheus makes itself. */
const ITS_OWN = new Set(['up']);

let daemon: LiveDaemon;
let smtp: SmtpTestServer;
let scrape: Scrape;

const scrapeOnce = async (): Promise<Scrape> => {
  const headers = { Authorization: `Bearer ${daemon.token}` };
  const answer = await fetch(`${daemon.url}/metrics`, { headers });
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  return parseScrape(await answer.text());
};

beforeAll(async () => {
  smtp = await startSmtpServer({ tls: 'none' });
  daemon = await startLiveDaemon();
  expect((await daemon.ask('POST', '/tenant', { id: 'acme' })).status).toBe(200);
  const account = { tenant_id: 'acme', id: 'smtp1', host: '127.0.0.1', port: smtp.port, tls: 'none' };
  expect((await daemon.ask('POST', '/account', account)).status).toBe(200);
  await daemon.ask('POST', '/commands/add-messages', { messages: [message('m1', { tenant_id: 'acme' })] });
  do scrape = await scrapeOnce();
  while (scrape.of('gmp_sent_total', ACCOUNT) !== 1);
}, 30_000);

afterAll(async () => {
  await daemon?.close();
  await smtp?.close();
});

/** Labels of the samples of a metric, histograms by their parts too. */
const labelsOf = (metric: string): Set<string> => {
  const labels = new Set<string>();
  for (const sample of scrape.samples.keys()) {
    if (sample !== metric && !sample.startsWith(`${metric}{`)) continue;
    for (const [, name] of sample.matchAll(/([a-z_]+)="/g)) labels.add(name as string);
  }
  return labels;
};
const isThere = (metric: string) =>
  ITS_OWN.has(metric) || [...scrape.samples.keys()].some((key) => key.split('{')[0] === metric);

/** What a text in PromQL names: metrics, and the labels that each is picked by. */
function namedIn(text: string): Array<{ metric: string; labels: string[] }> {
  return [...text.matchAll(/\b((?:gmp|process|nodejs|node)_[a-z_]+|up)\b(?:\{([^}]*)\})?/g)].map(
    ([, metric, matchers = '']) => ({
      metric: metric as string,
      labels: [...matchers.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label as string),
    }),
  );
}

/** All expressions of the dashboard, those of its variables with the labels that they list. */
function dashboardExpressions(): string[] {
  const dashboard = JSON.parse(read('deploy/grafana-dashboard.json'));
  const panels = dashboard.panels as Array<{ targets: Array<{ expr: string }> }>;
  const variables = dashboard.templating.list as Array<{ definition?: string }>;
  return [
    ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...variables.flatMap(({ definition }) => definition ?? []),
  ];
}

/** Expressions of the rules: from `expr:` to the next field. */
function alertExpressions(): string[] {
  const found = [...read('deploy/alerts.yaml').matchAll(/^ {8}expr:([\s\S]*?)\n {8}\w+:/gm)];
  return found.map(([, expression]) => expression as string);
}

describe.each([
  ['the dashboard', dashboardExpressions, 20],
  ['the alerts', alertExpressions, 12],
] as const)('%s', (_, expressions, atLeast) => {
  test('names only metrics that a running daemon has', () => {
    const texts = expressions();
    expect(texts.length).toBeGreaterThanOrEqual(atLeast);
    for (const text of texts) {
      const named = namedIn(text);
      expect(named, text).not.toEqual([]);
      for (const { metric } of named) expect(isThere(metric), `${metric} in ${text}`).toBe(true);
    }
  });

  test('picks them only by labels that they have', () => {
    // Those that Prometheus adds.
    const added = ['instance', 'job'];
    for (const text of expressions()) {
      for (const { metric, labels } of namedIn(text)) {
        const known = labelsOf(metric);
        for (const label of labels.filter((name) => !added.includes(name)))
          expect(known, `${metric} in ${text}`).toContain(label);
      }
    }
  });
});

test('the rules are whole: each has a name, an expression and a summary', () => {
  const rules = read('deploy/alerts.yaml')
    .split(/^ {6}- alert: /m)
    .slice(1);
  expect(rules).toHaveLength(alertExpressions().length);
  for (const rule of rules)
    expect(rule).toMatch(/^MailProxy\w+\n {8}expr:[\s\S]+severity: (critical|warning)\n[\s\S]+summary: /);
});

test('each metric of the manual is in the scrape, and each of the scrape in the manual', () => {
  const listed = [...read('docs/operations.md').matchAll(/^\| `([a-z_]+)/gm)].map(([, name]) => name);
  expect([...scrape.types.keys()].sort()).toEqual(listed.sort());
});

test('the library that writes them is loaded by the first scrape and by nothing else', () => {
  const sources = readdirSync(new URL('../../src', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) =>
      read(`src/${file}`)
        .split('\n')
        .filter((line) => line.includes("'prom-client'")),
    );
  expect(sources.map((line) => line.trim())).toEqual([
    "import type { Metric } from 'prom-client';",
    "const { Registry } = await import('prom-client');",
  ]);
});
