import type { RejectionCode } from '../core/rejection-codes.js';
import type { RetrySkip } from '../core/retry.js';
import type { LimitBehavior, MessageStatus, TlsMode, UncertainPolicy } from '../core/types.js';

/** A point in time on the way in: Unix seconds (fractions allowed) or ISO 8601 with an offset. */
export type WireTime = number | string;

/** What `POST /account` takes. */
export interface AccountRequest {
  id: string;
  /** A tenant token's own when left out; an admin token has to name it. */
  tenant_id?: string;
  host: string;
  port?: number;
  tls?: TlsMode;
  tls_verify?: boolean;
  tls_ca?: string | null;
  user?: string | null;
  password?: string;
  /** 0 or null is no limit, here and below. */
  limit_per_minute?: number | null;
  limit_per_hour?: number | null;
  limit_per_day?: number | null;
  limit_behavior?: LimitBehavior;
  max_connections?: number;
  from_address?: string | null;
  is_default?: boolean;
  /** Lets an account that delivered over verified TLS be made weaker. */
  allow_downgrade?: boolean;
}

/** What `POST /tenant` takes. */
export interface TenantRequest {
  tenant_id: string;
  name?: string;
  token?: string;
  token_expires_at?: WireTime;
  client_base_url?: string | null;
  client_sync_path?: string;
  client_attachment_path?: string;
  client_auth?: { method: 'none' | 'bearer' | 'basic'; token?: string; user?: string; password?: string };
  webhook_secret?: string;
  active?: boolean;
  rate_limits?: { hourly?: number | null; daily?: number | null };
  on_uncertain?: UncertainPolicy;
  use_global_sync?: boolean;
  attachment_roots?: string[];
}

/** One attachment of a {@link MessageRequest}. */
export interface AttachmentRequest {
  filename: string;
  storage_path: string;
  fetch_mode?: 'base64' | 'filesystem' | 'endpoint' | 'http_url';
  mime_type?: string;
  content_md5?: string;
}

/** One message of `POST /commands/add-messages`. */
export interface MessageRequest {
  id: string;
  tenant_id?: string;
  account_id?: string;
  from?: string;
  to?: string | string[];
  cc?: string | string[];
  bcc?: string | string[];
  reply_to?: string | string[];
  return_path?: string;
  subject?: string;
  body?: string;
  content_type?: 'plain' | 'html';
  text?: string;
  html?: string;
  message_id?: string;
  headers?: Record<string, string>;
  priority?: 0 | 1 | 2 | 3 | 'immediate' | 'high' | 'medium' | 'low';
  deferred_ts?: WireTime;
  expires_ts?: WireTime;
  batch_code?: string;
  attachments?: AttachmentRequest[];
  /** A whole RFC 5322 message in base64, in place of subject, body, attachments and headers. */
  raw?: string;
}

/** What `POST /commands/add-messages` takes. */
export interface MessageBatchRequest {
  messages: MessageRequest[];
  default_priority?: MessageRequest['priority'];
  tenant_id?: string;
}

/** What became of a batch. */
export interface MessageBatchAnswer {
  queued: number;
  rejected: Array<{ id: string | null; reason: string; code: RejectionCode }>;
}

/** What the server is doing. */
export interface StatusAnswer {
  scheduler_active: boolean;
  pending_messages: number;
  uptime_seconds: number;
  version: string;
}

/** Secrets that were generated for a new tenant, told once; `created` is false after an update. */
export interface TenantCreated {
  created: boolean;
  api_key: string | undefined;
  webhook_secret: string | undefined;
}

/** What a test of an account found. */
export interface AccountTestAnswer {
  ok: boolean;
  steps: Array<{ name: 'connect' | 'tls' | 'login'; status: 'ok' | 'failed' | 'skipped'; sentence: string }>;
}

/** Which page of a list. */
export interface PageRequest {
  /** 1 to 1000. @defaultValue 100 */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
}

/** Which messages. */
export interface MessageListRequest extends PageRequest {
  tenant_id?: string;
  status?: MessageStatus;
  active_only?: boolean;
  account_id?: string;
  batch_code?: string;
}

/** What `POST /commands/delete-messages` answers. */
export interface DeletedAnswer {
  removed: number;
  not_found: string[];
  /** Left alone: the server may have them already. */
  in_progress: string[];
}

/** What `POST /commands/retry-messages` takes: ids, or a filter. */
export type RetryRequest =
  | { ids: string[] }
  | {
      filter: { status: 'error' | 'deferred'; account_id?: string; batch_code?: string };
      cursor?: string;
      dry_run?: boolean;
    };

/** What `POST /commands/retry-messages` answers. */
export interface RetriedAnswer {
  retried: number;
  not_found: string[];
  /** At most 1,000 of those that were left as they are. */
  skipped: Array<{ id: string; code: RetrySkip; reason: string }>;
  skipped_count: number;
  next_cursor?: string;
}

/** A key as `GET /keys` shows it. */
export interface KeyWire {
  id: string;
  /** Where the daemon has it from; null when it does not have it. */
  source: string | null;
  primary: boolean;
  /** How many stored secrets it opens. */
  secrets: number;
  recorded_at: string | null;
  retired_at: string | null;
}

/** What `POST /keys/verify` answers. */
export interface KeyVerification {
  ok: boolean;
  checked: number;
  unreadable: Array<{ what: string; key_id: string; reason: string }>;
}

/** What `POST /command-log/verify` answers. */
export interface AuditVerificationAnswer {
  ok: boolean;
  checked: number;
  /** Records of older chains whose key is lost. */
  unverifiable: number;
  head: string | null;
  problem: string | null;
}
