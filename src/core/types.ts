/** How the connection to an SMTP server is protected: not at all, upgraded by STARTTLS, or TLS from the first byte. */
export type TlsMode = 'none' | 'starttls' | 'ssl';

/** What happens to a message that is over a rate limit: it waits (`defer`) or ends in error (`reject`). */
export type LimitBehavior = 'defer' | 'reject';

/** What to do after a crash with a message whose body was being handed over: send it again, or hold it for a person. */
export type UncertainPolicy = 'retry' | 'hold';

/** Who set a row: the operator (CLI, admin token) is trusted with private destinations, a tenant's own token is not. */
export type SetBy = 'operator' | 'tenant';

/** Who performs a change: recorded with it. */
export type Actor =
  | { kind: 'os-user'; name: string }
  | { kind: 'admin-token'; address: string }
  | { kind: 'tenant-token'; tenantId: string; tokenName: string; address: string }
  /** Nobody who is known: a failed login. */
  | { kind: 'anonymous'; address: string }
  | { kind: 'daemon' };

/** Who changes something, and when: written to the audit trail in the same transaction. */
export interface Change {
  actor: Actor;
  now: Millis;
}

/** Times are Unix milliseconds unless a name ends in `_ts` (Unix seconds, on the wire). */
export type Millis = number;

/** A customer of the server: its rows are visible to nobody else. Secrets are not part of this view. */
export interface Tenant {
  id: string;
  name: string;
  active: boolean;
  clientBaseUrl: string | null;
  clientSyncPath: string;
  clientAttachmentPath: string;
  clientAuthMethod: 'none' | 'bearer' | 'basic';
  clientAuthUser: string | null;
  hasWebhookSecret: boolean;
  limitHourly: number | null;
  limitDaily: number | null;
  onUncertain: UncertainPolicy;
  useGlobalSync: boolean;
  attachmentRoots: string[];
  createdAt: Millis;
  updatedAt: Millis;
}

/** An SMTP account of one tenant, without its password. */
export interface Account {
  pk: number;
  tenantId: string;
  id: string;
  host: string;
  port: number;
  tls: TlsMode;
  tlsVerify: boolean;
  /** PEM of the certificate authorities to trust instead of the system's. */
  tlsCa: string | null;
  user: string | null;
  hasPassword: boolean;
  limitMinute: number | null;
  limitHour: number | null;
  limitDay: number | null;
  limitBehavior: LimitBehavior;
  maxConnections: number;
  fromAddress: string | null;
  isDefault: boolean;
  setBy: SetBy;
  /** When it first delivered over TLS with a verified certificate; null when it never did. */
  verifiedTlsAt: Millis | null;
  /** Grows whenever what a connection depends on (address, TLS, user, password) changes. */
  credentialVersion: number;
  createdAt: Millis;
  updatedAt: Millis;
}

/** A sealed secret as it is stored: the `ENC:` value and the id of the key that opens it. */
export interface SealedSecret {
  value: string;
  keyId: string;
}

/** RFC 5321 envelope: `from` is empty for the null sender. */
export interface Envelope {
  from: string;
  to: string[];
}

/** State of a message as stored; what people see of it is derived when listed. */
export type MessageState = 'ready' | 'waiting' | 'suspended' | 'sending' | 'uncertain' | 'sent' | 'error';

/** What can happen to a message, as its history tells it. */
export const MESSAGE_EVENT_TYPES = [
  /** An attempt put it off. */
  'deferred',
  /** It is still unsent hours after it was due. */
  'late',
  'sent',
  'error',
  'uncertain',
  /** A person said what became of an uncertain one. */
  'resolved',
  /** A person had it tried again. */
  'retried',
] as const;

/** One of {@link MESSAGE_EVENT_TYPES}. */
export type MessageEventType = (typeof MESSAGE_EVENT_TYPES)[number];

/** Status of a message as people and clients see it. */
export type MessageStatus = 'pending' | 'deferred' | 'suspended' | 'sending' | 'uncertain' | 'sent' | 'error';

/** State of one recipient: each has its own outcome. */
export type RecipientState = 'pending' | 'sent' | 'error';

/** One recipient and what the server said about it last. */
export interface Recipient {
  position: number;
  address: string;
  state: RecipientState;
  code: number | null;
  reply: string | null;
  at: Millis | null;
}

/** 0 is `immediate`, 1 `high`, 2 `medium`, 3 `low`. */
export type Priority = 0 | 1 | 2 | 3;

/** What `content` of a queued message holds: a JSON {@link ComposedMessage}, or the bytes of an RFC 5322 message. */
export type ContentKind = 'composed' | 'raw';

/** A message that has passed every check and may be stored. */
export interface NewMessage {
  id: string;
  /** The tenant's default account when undefined. */
  accountId: string | undefined;
  envelope: Envelope;
  contentKind: ContentKind;
  content: Buffer;
  subject: string;
  priority: Priority;
  /** Not before this moment; undefined is at once. */
  deferredAt: Millis | undefined;
  /** Given up at this moment. */
  expiresAt: Millis;
  batchCode: string | undefined;
}

/** A mailbox of RFC 5322: display name (may be empty) and an address that has passed {@link parseAddress}. */
export interface Mailbox {
  name: string;
  address: string;
}

/** Everything a MIME message is composed from, stored as JSON until it is sent. No field names a file or URL. */
export interface ComposedMessage {
  from: Mailbox;
  to: Mailbox[];
  cc: Mailbox[];
  replyTo: Mailbox[];
  subject: string;
  text?: string;
  html?: string;
  /** With angle brackets; the same for every attempt. */
  messageId: string;
  /** Unix milliseconds of the Date header; the same for every attempt. */
  date: Millis;
  headers: Array<{ key: string; value: string }>;
  attachments: Array<{ filename: string; contentType: string; base64: string }>;
}

/** A message as lists show it. */
export interface Message {
  pk: number;
  id: string;
  tenantId: string;
  accountId: string;
  status: MessageStatus;
  priority: Priority;
  batchCode: string | null;
  subject: string;
  createdAt: Millis;
  deferredAt: Millis | null;
  sentAt: Millis | null;
  errorAt: Millis | null;
  error: string | null;
  retryCount: number;
  nextAttemptAt: Millis | null;
  expiresAt: Millis;
  recipients: Recipient[];
}

/** Source of numbers in [0, 1), such as `Math.random`. */
export type RandomSource = () => number;
