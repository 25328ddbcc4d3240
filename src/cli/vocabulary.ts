/** What a command is about: the installation, one server, or one tenant of a server. */
export type Scope = 'root' | 'server' | 'tenant';

const SCOPES: Record<string, readonly Scope[]> = {
  list: ['root'],
  keygen: ['root'],
  use: ['root'],
  current: ['root'],
  demo: ['root'],
  doctor: ['root'],
  completion: ['root'],
  help: ['root', 'server', 'tenant'],
  version: ['root'],
  start: ['server'],
  stop: ['server'],
  restart: ['server'],
  status: ['server'],
  serve: ['server'],
  delete: ['server'],
  'rotate-key': ['server'],
  info: ['server', 'tenant'],
  stats: ['server'],
  logs: ['server'],
  top: ['server'],
  backup: ['server'],
  restore: ['server'],
  import: ['server'],
  export: ['server'],
  apply: ['server'],
  ...topic('server', 'token', ['rotate']),
  ...topic('server', 'tenants', ['add', 'list', 'show', 'update', 'delete', 'suspend', 'activate']),
  ...topic('server', 'keys', ['list', 'add', 'verify', 'retire']),
  ...topic('server', 'audit', ['list', 'verify', 'export', 'restart']),
  ...topic('server', 'config', ['get', 'set']),
  ...topic('tenant', 'accounts', ['add', 'list', 'show', 'update', 'delete', 'test']),
  ...topic('tenant', 'messages', ['list', 'show', 'explain', 'retry', 'resolve', 'delete']),
  ...topic('tenant', 'tokens', ['create', 'list', 'revoke']),
  ...topic('tenant', 'dkim', ['add', 'list', 'delete']),
  send: ['tenant'],
  'run-now': ['tenant'],
  suspend: ['tenant'],
  activate: ['tenant'],
};

function topic(scope: Scope, name: string, actions: readonly string[]): Record<string, readonly Scope[]> {
  return Object.fromEntries(actions.map((action) => [`${name} ${action}`, [scope]]));
}

/**
 * Every command of the interface, as its words joined by a space, with the scopes it works in. It lists what is
 * planned as well as what is built, so that no server can take a name that becomes a command later.
 */
export const COMMANDS: ReadonlyMap<string, readonly Scope[]> = new Map(Object.entries(SCOPES));

/** First words of {@link COMMANDS}: commands and topics. None of them can be the name of a server. */
export const RESERVED_WORDS: ReadonlySet<string> = new Set(
  Array.from(COMMANDS.keys(), (command) => command.split(' ')[0] as string),
);

/** Scopes in which the command or topic that begins with `word` works; empty for an unknown word. */
export function scopesOf(word: string): readonly Scope[] {
  const exact = COMMANDS.get(word);
  if (exact) return exact;
  for (const [command, scopes] of COMMANDS) if (command.startsWith(`${word} `)) return scopes;
  return [];
}
