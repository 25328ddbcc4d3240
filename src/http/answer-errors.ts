import type { ErrorHandler } from 'hono';
import { ERROR_CODES, MailProxyError } from '../core/errors.js';
import type { AppEnv } from './app-env.js';
import type { AppDeps } from './deps.js';

/** The body of every failure. */
export interface ErrorAnswer {
  ok: false;
  error: string;
  code: string;
  issues?: Array<{ path: string; message: string }>;
}

function answerOf(error: MailProxyError): ErrorAnswer {
  const answer: ErrorAnswer = { ok: false, error: error.message, code: error.code };
  return error.status === 422 ? { ...answer, issues: error.issues ?? [] } : answer;
}

const STORE_UNAVAILABLE = 'The store cannot be used at the moment: try again later.';
const OPERATORS_AFFAIR = 'The server cannot do this at the moment: its operator finds the reason in its log.';

/** What is wrong with the machine or its keys is for its operator; sentences about that hold paths and names. */
function isOperatorsAffair(error: MailProxyError): boolean {
  return error.status === 503 || error.code === 'credential_unreadable';
}

/** Whether SQLite says that its file, its disk or a lock is the matter: trouble of the machine, not a defect. */
function isStoreTrouble(error: Error): boolean {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return /^SQLITE_(?:BUSY|CANTOPEN|CORRUPT|FULL|IOERR|LOCKED|NOTADB|READONLY)/.test(code);
}

/**
 * Makes the handler of everything that is thrown. A failure of the interface is answered as it stands, to others than the
 * admin without what is the operator's affair; anything else is a
 * defect, which is logged and of which the client learns nothing.
 */
export function answerErrors({ log }: Pick<AppDeps, 'log'>): ErrorHandler<AppEnv> {
  return function answerError(error, c) {
    if (error instanceof MailProxyError) {
      const { status } = ERROR_CODES[error.code];
      const isAdmin = c.get('caller')?.principal.kind === 'admin';
      if (!isOperatorsAffair(error)) return c.json(answerOf(error), status);
      // Trouble of the store is in the log whoever meets it.
      if (!isAdmin || error.code === 'store_unavailable')
        log.error(error.message, { route: c.get('route'), err: error });
      if (isAdmin) return c.json(answerOf(error), status);
      const answer = error.code === 'store_unavailable' ? STORE_UNAVAILABLE : OPERATORS_AFFAIR;
      return c.json({ ok: false, error: answer, code: error.code } satisfies ErrorAnswer, status);
    }
    if (isStoreTrouble(error)) {
      log.error('The database cannot be used.', { route: c.get('route'), err: error });
      const answer: ErrorAnswer = {
        ok: false,
        error: STORE_UNAVAILABLE,
        code: 'store_unavailable',
      };
      return c.json(answer, ERROR_CODES.store_unavailable.status);
    }
    log.error('A request failed because of a defect.', { route: c.get('route'), err: error });
    const answer: ErrorAnswer = {
      ok: false,
      error: 'Something went wrong inside the server; its log says what.',
      code: 'internal',
    };
    return c.json(answer, ERROR_CODES.internal.status);
  };
}
