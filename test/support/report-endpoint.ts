import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from './processes.js';

/** A call that an endpoint got. */
export interface ReceivedCall {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  text: string;
  reports: Array<Record<string, unknown>>;
}

/** An application's endpoint for delivery reports on the loopback address. */
export interface ReportEndpoint {
  url: string;
  calls: ReceivedCall[];
  /** How it answers; `{"ok": true}` unless a test says otherwise. */
  answer: (call: ReceivedCall, response: ServerResponse) => void;
  /** Resolves with the calls once there are `count`. */
  waitFor(count: number): Promise<ReceivedCall[]>;
  close(): Promise<void>;
}

/** Answers with JSON. */
export function answerJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Opens a {@link ReportEndpoint}. */
export async function openReportEndpoint(): Promise<ReportEndpoint> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const { delivery_report: reports = [] } = text === '' ? {} : JSON.parse(text);
    const { method = '', url: path = '', headers } = request;
    const call = { method, path, headers, text, reports };
    endpoint.calls.push(call);
    endpoint.answer(call, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint: ReportEndpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    answer: (_call, response) => answerJson(response, { ok: true }),
    async waitFor(count) {
      await until(() => endpoint.calls.length >= count, `the endpoint is called ${count} time(s)`);
      return endpoint.calls;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return endpoint;
}
