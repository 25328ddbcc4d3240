import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SMTPConnectionEnvelopeInfo } from 'nodemailer/lib/smtp-connection';
import { type RecipientOutcome, SmtpFailure, type SmtpStep } from '../core/smtp-outcome.js';
import { parseReply, type SmtpReply } from '../core/smtp-reply.js';
import type { MarkedBody } from './marked-body.js';
import type { SmtpEndpoint } from './smtp-options.js';

/** An error as nodemailer raises it: everything besides the message is optional. */
export interface SmtpLibraryError extends Error {
  code?: string | undefined;
  originalCode?: string | undefined;
  command?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
  recipient?: string | undefined;
  rejectedErrors?: SmtpLibraryError[] | undefined;
  syscall?: string | undefined;
}

/** What nodemailer notes in the envelope it is given while it works through it. */
export type TrackedEnvelope = { from: string; to: string[]; size: number; use8BitMime: boolean } & Partial<
  Pick<SMTPConnectionEnvelopeInfo, 'accepted'> & { rejectedErrors: SmtpLibraryError[] }
>;

/** Removes what a server may have echoed of the credentials; a text too entangled with them is dropped whole. */
export function redact(reply: SmtpReply, { user, password }: SmtpEndpoint): SmtpReply {
  if (!password) return reply;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  let text = reply.reply;
  for (const secret of [base64(`\0${user ?? ''}\0${password}`), base64(password), password]) {
    if (!text.includes(secret)) continue;
    text = secret.length < 4 ? String(reply.code ?? '') : text.replaceAll(secret, '[redacted]');
  }
  return { ...reply, reply: text };
}

/** Says at which step a session that is being opened stands, out of its socket, its last reply and the error. */
export function openingStep(
  connection: SMTPConnection,
  endpoint: SmtpEndpoint,
  error?: SmtpLibraryError,
): SmtpStep {
  if (error?.code === 'EDNS') return 'dns';
  if (error?.command === 'STARTTLS' && error.response !== undefined) return 'starttls';
  if (error?.command === 'EHLO' || error?.command === 'HELO') return 'ehlo';
  const socket = connection._socket;
  if (!socket || socket.connecting || error?.syscall === 'connect' || error instanceof AggregateError) {
    return 'connect';
  }
  if (connection.stage === 'init') return endpoint.tls === 'ssl' ? 'tls' : 'connect';
  if (connection.upgrading || error?.command === 'STARTTLS') return 'tls';
  const last = connection.lastServerResponse || '';
  if (last === '' || (error?.code === 'EPROTOCOL' && error.response === last && !/^2/.test(last))) {
    return 'greeting';
  }
  return endpoint.tls === 'starttls' && !connection.secure && /^250/.test(last) ? 'starttls' : 'ehlo';
}

/** Says at which step a transaction stands, out of what nodemailer noted in the envelope and what was read. */
export function sendingStep(envelope: TrackedEnvelope, body: MarkedBody, error?: SmtpLibraryError): SmtpStep {
  if (body.started) return error?.responseCode !== undefined || body.ended ? 'final' : 'body';
  if (body.asked || error?.command === 'DATA') return 'data';
  if (error?.command === 'MAIL FROM') return 'mail';
  const answered = (envelope.accepted?.length ?? 0) + (envelope.rejectedErrors?.length ?? 0);
  if (answered >= envelope.to.length) return 'data';
  return answered > 0 || error?.command === 'RCPT TO' ? 'rcpt' : 'mail';
}

/** Makes the failure that the rest of the program knows out of an error of nodemailer. */
export function translateError(
  error: SmtpLibraryError,
  step: SmtpStep,
  endpoint: SmtpEndpoint,
  bodyStarted = false,
): SmtpFailure {
  const isTooLarge =
    error.code === 'EMESSAGE' && error.command === 'MAIL FROM' && error.responseCode === undefined;
  const cause = error.originalCode ?? error.code ?? null;
  return new SmtpFailure({
    step,
    ...replyOf(error, endpoint),
    causeCode: isTooLarge ? 'MESSAGE_TOO_LARGE' : cause,
    bodyStarted,
  });
}

/** Reads the reply an error carries, if it carries one. */
function replyOf(error: SmtpLibraryError, endpoint: SmtpEndpoint): SmtpReply {
  if (error.response === undefined) return { code: null, enhanced: null, reply: '' };
  return redact(parseReply(error.response), endpoint);
}

/**
 * Gives every envelope recipient its own outcome. nodemailer's one error for the whole mixes them, so each refusal is
 * read by itself; an address that is named twice is matched once for each answer.
 * @param whole - What is said of a recipient that got no refusal of its own.
 */
export function recipientOutcomes(
  envelope: TrackedEnvelope,
  whole: SmtpReply,
  endpoint: SmtpEndpoint,
): RecipientOutcome[] {
  const refusals = [...(envelope.rejectedErrors ?? [])];
  const accepted = [...(envelope.accepted ?? [])];
  return envelope.to.map((address) => {
    const refusal = refusals.findIndex((error) => error.recipient === address);
    const [own] = refusal < 0 ? [] : refusals.splice(refusal, 1);
    if (own) return { address, accepted: false, ...replyOf(own, endpoint) };
    const taken = accepted.indexOf(address);
    if (taken >= 0) accepted.splice(taken, 1);
    return { address, accepted: taken >= 0, code: whole.code, enhanced: whole.enhanced, reply: whole.reply };
  });
}
