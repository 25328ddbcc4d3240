import { resolve } from 'node:path';

/** What a daemon tells whoever started it, once. */
export interface DaemonReady {
  url: string;
  pid: number;
  /** The admin token that was made just now; it is kept nowhere. */
  generatedToken: string | undefined;
  createdKeyFile: string | undefined;
  warnings: string[];
}

/** What a starter hands to the process it spawned, through a pipe: never by argv or environment. */
export interface BootSecrets {
  /** Variables that hold secrets, by name. */
  env: Record<string, string>;
  apiToken?: { token: string; fromEnvironment: boolean };
  mayCreateSecrets: boolean;
  holdUnreadable: boolean;
  logFile: string;
}

/** What the spawned process answers. */
export type BootAnswer = { ok: true; ready: DaemonReady } | { ok: false; code: string; error: string };

/** Descriptors of the two pipes between a starter and the daemon. */
export const BOOT_FDS = { secrets: 3, answer: 4 } as const;

const SECRET_VARIABLES = [
  'MAIL_PROXY_ENCRYPTION_KEY',
  'MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS',
  'MAIL_PROXY_NEW_ENCRYPTION_KEY',
  'MAIL_PROXY_SMTP_PASSWORD',
  'GMP_API_TOKEN',
  'GMP_CLIENT_SYNC_TOKEN',
  'GMP_CLIENT_SYNC_PASSWORD',
];

/** Variables that hold paths; a spawned daemon works in another directory than the shell that names them. */
const PATH_VARIABLES = [
  'GMP_DB_PATH',
  'GMP_CACHE_DISK_DIR',
  'MAIL_PROXY_ENCRYPTION_KEY_FILE',
  'MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE',
  'CREDENTIALS_DIRECTORY',
];

/**
 * Splits an environment into what a spawned daemon may show to the world and what goes through the pipe. Paths become
 * absolute.
 */
export function splitEnvironment(env: Readonly<Record<string, string | undefined>>): {
  open: Record<string, string | undefined>;
  secret: Record<string, string>;
} {
  const open: Record<string, string | undefined> = { ...env };
  const secret: Record<string, string> = {};
  for (const name of SECRET_VARIABLES) {
    const value = env[name];
    delete open[name];
    if (value !== undefined) secret[name] = value;
  }
  for (const name of PATH_VARIABLES) {
    const path = open[name];
    // One that is set but empty stays so: it is an error to some, and never the working directory.
    if (path) open[name] = resolve(path);
  }
  return { open, secret };
}
