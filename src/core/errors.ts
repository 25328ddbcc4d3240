/**
 * Every failure a user, a script or a client can meet, with the HTTP status and the exit code it is answered
 * with. Codes are part of the contract: never rename one.
 */
export const ERROR_CODES = {
  usage: { status: 400, exit: 2 },
  invalid_json: { status: 400, exit: 2 },
  body_too_large: { status: 413, exit: 2 },
  unsupported_media_type: { status: 415, exit: 2 },
  validation_failed: { status: 422, exit: 2 },
  not_supported: { status: 422, exit: 2 },
  downgrade_refused: { status: 422, exit: 2 },
  secret_required: { status: 422, exit: 2 },
  unauthorized: { status: 401, exit: 4 },
  tenant_mismatch: { status: 401, exit: 4 },
  forbidden: { status: 403, exit: 4 },
  not_found: { status: 404, exit: 3 },
  route_not_found: { status: 404, exit: 1 },
  method_not_allowed: { status: 405, exit: 1 },
  server_not_found: { status: 404, exit: 3 },
  tenant_not_found: { status: 404, exit: 3 },
  account_not_found: { status: 404, exit: 3 },
  message_not_found: { status: 404, exit: 3 },
  file_unreadable: { status: 400, exit: 1 },
  already_exists: { status: 409, exit: 1 },
  account_in_use: { status: 409, exit: 1 },
  tenant_suspended: { status: 409, exit: 1 },
  not_uncertain: { status: 409, exit: 1 },
  content_gone: { status: 409, exit: 1 },
  idempotency_conflict: { status: 409, exit: 1 },
  account_test_failed: { status: 200, exit: 1 },
  too_many_attempts: { status: 429, exit: 1 },
  store_unavailable: { status: 503, exit: 1 },
  schema_mismatch: { status: 503, exit: 1 },
  key_missing: { status: 503, exit: 4 },
  key_invalid: { status: 503, exit: 4 },
  token_missing: { status: 503, exit: 4 },
  credential_unreadable: { status: 409, exit: 4 },
  daemon_not_running: { status: 503, exit: 5 },
  daemon_running: { status: 409, exit: 1 },
  start_failed: { status: 503, exit: 1 },
  port_in_use: { status: 503, exit: 1 },
  unsafe_permissions: { status: 503, exit: 1 },
  audit_broken: { status: 409, exit: 1 },
  cancelled: { status: 409, exit: 1 },
  unknown_command: { status: 404, exit: 127 },
  internal: { status: 500, exit: 1 },
} as const satisfies Record<string, { status: number; exit: number }>;

/** A stable, machine-readable failure code. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** One field that did not validate: `path` is dotted (`messages.0.to`), `message` never repeats the value. */
export interface FieldIssue {
  path: string;
  message: string;
}

/**
 * A failure that is part of the interface: one sentence saying what is wrong and what to do next, and a code.
 * Its message is shown to users as it stands, so it never holds a secret.
 */
export class MailProxyError extends Error {
  override readonly name = 'MailProxyError';
  readonly code: ErrorCode;
  readonly issues: FieldIssue[] | undefined;

  constructor(code: ErrorCode, message: string, options: { issues?: FieldIssue[]; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.issues = options.issues;
  }

  /** HTTP status of this failure. */
  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  /** Process exit code of this failure. */
  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }
}
