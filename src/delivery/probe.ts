import { SmtpFailure, type SmtpStep } from '../core/smtp-outcome.js';
import { explainFailure } from './explain-failure.js';
import type { SmtpEndpoint } from './smtp-options.js';
import { type OpenOptions, SmtpSession } from './smtp-session.js';

/** One thing that was tried. */
interface ProbeStep {
  /** `login` is AUTH, and, where TLS comes first (`ssl`), also the greeting that follows it. */
  name: 'connect' | 'tls' | 'login';
  status: 'ok' | 'failed' | 'skipped';
  /** For a person: what was found. */
  sentence: string;
}

/** What a probe of an account found, in the order in which it was tried. */
export interface ProbeReport {
  ok: boolean;
  steps: ProbeStep[];
}

const NOT_TRIED = 'Not tried.';

/**
 * Connects, protects and logs in as for sending, then says QUIT: no message is offered. A server that cannot be used is
 * part of the report.
 * @throws MailProxyError `validation_failed` for an EHLO name that is none.
 */
export async function probeAccount(endpoint: SmtpEndpoint, options: OpenOptions = {}): Promise<ProbeReport> {
  try {
    const session = await SmtpSession.open(endpoint, options);
    await session.quit();
    return { ok: true, steps: stepsOf(endpoint, null) };
  } catch (error) {
    if (!(error instanceof SmtpFailure)) throw error;
    return { ok: false, steps: stepsOf(endpoint, error) };
  }
}

function stepsOf(endpoint: SmtpEndpoint, failure: SmtpFailure | null): ProbeStep[] {
  const order: ProbeStep['name'][] = ['connect', 'tls', 'login'];
  const failedAt = failure ? order.indexOf(probeStepOf(failure.step, endpoint)) : order.length;
  return order.map((name, position) => {
    if (position === failedAt && failure) {
      return { name, status: 'failed', sentence: explainFailure(failure, endpoint) };
    }
    if (position > failedAt) return { name, status: 'skipped', sentence: NOT_TRIED };
    return succeeded(name, endpoint);
  });
}

function succeeded(name: ProbeStep['name'], { host, port, tls, tlsVerify, user }: SmtpEndpoint): ProbeStep {
  switch (name) {
    case 'connect':
      return { name, status: 'ok', sentence: `${host}:${port} answers.` };
    case 'tls':
      if (tls === 'none')
        return { name, status: 'skipped', sentence: 'Plain text, as the account asks for.' };
      return {
        name,
        status: 'ok',
        sentence: tlsVerify
          ? `Encrypted, and the certificate is valid for ${host}.`
          : 'Encrypted, but the certificate was not checked: anyone in between could read along.',
      };
    case 'login':
      if (user === null) return { name, status: 'skipped', sentence: 'The account has no user.' };
      return { name, status: 'ok', sentence: 'The server accepted user and password.' };
  }
}

function probeStepOf(step: SmtpStep, { tls }: SmtpEndpoint): ProbeStep['name'] {
  if (step === 'tls' || step === 'starttls') return 'tls';
  const isGreeting = step === 'greeting' || step === 'ehlo';
  return step === 'auth' || (isGreeting && tls === 'ssl') ? 'login' : 'connect';
}
