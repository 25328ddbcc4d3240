import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { routeArgv } from '../../src/cli/grammar.js';
import { chooseServer, chooseTenant } from '../../src/cli/scope.js';
import { scopeGiven } from '../../src/cli/scope-flags.js';
import { COMMANDS, RESERVED_WORDS } from '../../src/cli/vocabulary.js';

const exists = (name: string) => name === 'myserver';
const route = (line: string) => routeArgv(line.split(' ').filter(Boolean), exists);

describe('the scoped form becomes an ordinary call', () => {
  it.each([
    ['myserver acme accounts add --host h', 'accounts add --server myserver --tenant acme --host h'],
    ['accounts add -s myserver -t acme --host h', 'accounts add -s myserver -t acme --host h'],
    ['myserver audit list --json', 'audit list --server myserver --json'],
    ['myserver status', 'status --server myserver'],
    ['status myserver', 'status myserver'],
    ['start myserver --port 8000', 'start myserver --port 8000'],
    ['newserver start', 'start --server newserver'],
    ['nosuch accounts list', 'accounts list --server nosuch'],
    ['use myserver acme', 'use myserver acme'],
    ['keygen', 'keygen'],
    ['', ''],
    // flags before the command
    ['--json myserver acme accounts list', 'accounts list --server myserver --tenant acme --json'],
    ['-s myserver accounts list', 'accounts list -s myserver'],
    ['-s myserver -t acme accounts list x', 'accounts list -s myserver -t acme x'],
    ['myserver --json acme send m.eml', 'send --server myserver --tenant acme --json m.eml'],
    ['accounts -s myserver list', 'accounts list -s myserver'],
    ['myserver accounts --json list', 'accounts list --server myserver --json'],
    // a command word in the place of an argument is an argument
    ['tenants show list -s myserver', 'tenants show list -s myserver'],
    // help
    ['--help', '--help'],
    ['help', '--help'],
    ['help accounts add', 'accounts add --help'],
    ['help myserver acme accounts', 'accounts --server myserver --tenant acme --help'],
    ['myserver', '--server myserver --help'],
    ['myserver --help', '--server myserver --help'],
    ['nosuch -h', '--server nosuch -h'],
    ['myserver acme --help', '--server myserver --tenant acme --help'],
    ['myserver acme help', '--server myserver --tenant acme --help'],
    ['myserver acme accounts --help', 'accounts --server myserver --tenant acme --help'],
    ['myserver acme help accounts add', 'accounts add --server myserver --tenant acme --help'],
    ['myserver acme --version', 'version'],
  ])('%s', (line, expected) => {
    expect(route(line)).toMatchObject({ argv: expected.split(' ').filter(Boolean) });
    expect(route(line).problem).toBeUndefined();
  });

  it('leaves everything behind -- alone', () => {
    const { argv } = route('myserver acme send -- -s other --help');
    expect(argv).toEqual(['send', '--server', 'myserver', '--tenant', 'acme', '--', '-s', 'other', '--help']);
  });
});

describe('what is no command is said to be none', () => {
  it.each([
    ['acounts list', 'accounts'],
    ['acounts --help', 'accounts'],
    ['strat', 'start'],
    ['myserver statsu', 'status'],
    ['myserver acme acounts list', 'accounts'],
    ['myserver acounts list', 'accounts list'],
    ['myserver acounts lst', 'accounts'],
    ['myserver acounts delete x', 'accounts delete'],
  ])('%s: did you mean %s', (line, meant) => {
    expect(route(line).problem).toMatchObject({ code: 'unknown_command' });
    expect(route(line).problem?.message).toContain(`Did you mean \`${meant}\`?`);
  });

  it.each([
    'nosuch',
    'nosuch other',
    'help nosuch',
    'myserver acme',
    'myserver acme nosuch x',
    'Foo list',
    '../x list',
    'myserver ..',
  ])('%s has no suggestion, but a hint', (line) => {
    expect(route(line).problem).toMatchObject({ code: 'unknown_command' });
    expect(route(line).problem?.message).toContain('`mail-proxy help`');
  });

  it('takes a word that resembles a command for the server when such a server exists', () => {
    expect(routeArgv(['acounts', 'stats'], () => true).problem).toBeUndefined();
  });

  it('takes a tenant that resembles a topic for a tenant where a tenant makes sense', () => {
    expect(route('myserver tenant suspend').argv).toEqual([
      'suspend',
      '--server',
      'myserver',
      '--tenant',
      'tenant',
    ]);
    expect(route('myserver tenant suspend').problem).toBeUndefined();
  });

  it('lets start create a server whose name resembles a command', () => {
    expect(route('demos start').problem).toBeUndefined();
  });

  it('prints no control characters of an unknown word', () => {
    expect(routeArgv(['\u001b[31mx'], exists).problem?.message).not.toContain('\u001b');
  });
});

describe('a scope that is named twice', () => {
  it.each([
    'myserver accounts list -s other',
    'myserver acme accounts list --tenant=other',
    '-s other myserver stats',
  ])('%s is refused', (line) => expect(route(line).problem).toMatchObject({ code: 'usage' }));

  it.each(['myserver accounts list -smyserver', 'myserver send -- -s other'])('%s is accepted', (line) =>
    expect(route(line).problem).toBeUndefined(),
  );
});

const serverName = fc
  .stringMatching(/^[a-z0-9][a-z0-9_-]{0,12}$/)
  .filter((name) => !RESERVED_WORDS.has(name));
const tenantId = fc
  .stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,12}$/)
  .filter((id) => !RESERVED_WORDS.has(id));
const tenantCommand = fc
  .constantFrom(...[...COMMANDS].filter(([, s]) => s.includes('tenant')).map(([c]) => c))
  .filter((command) => command !== 'help');
const extra = fc.array(fc.stringMatching(/^(--(host|user)=)?[a-z0-9.]{1,8}$/), { maxLength: 4 });

/** What a command in the end acts on: its own arguments without the scope, the server and the tenant. */
function meaning(argv: readonly string[], environment: { server?: string; tenant?: string } = {}) {
  const flags = scopeGiven(argv);
  const server = chooseServer({ flag: flags.server, environment: environment.server })?.name ?? '';
  const tenant = chooseTenant({ flag: flags.tenant, environment: environment.tenant }, server, {})?.name;
  const own = argv.filter(
    (arg, i) =>
      !/^(--server|--tenant|-s|-t)$/.test(arg) && !/^(--server|--tenant|-s|-t)$/.test(argv[i - 1] ?? ''),
  );
  return { own, server, tenant };
}

describe('properties', () => {
  it('scoped, flag and environment forms are the same call', () => {
    fc.assert(
      fc.property(serverName, tenantId, tenantCommand, extra, (server, tenant, command, args) => {
        const words = command.split(' ');
        const scoped = routeArgv([server, tenant, ...words, ...args], () => true);
        const flags = routeArgv([...words, '-s', server, '-t', tenant, ...args], () => true);
        const plain = routeArgv([...words, ...args], () => true);
        expect(scoped.problem).toBeUndefined();
        expect(meaning(scoped.argv)).toEqual({ own: [...words, ...args], server, tenant });
        expect(meaning(flags.argv)).toEqual(meaning(scoped.argv));
        expect(meaning(plain.argv, { server, tenant })).toEqual(meaning(scoped.argv));
        expect(scoped).toMatchObject({ server, tenant });
        expect(flags).toMatchObject({ server, tenant });
      }),
    );
  });

  it('an ordinary call is handed on as it is, and routing twice changes nothing', () => {
    fc.assert(
      fc.property(tenantCommand, extra, serverName, (command, args, server) => {
        const ordinary = [...command.split(' '), ...args];
        expect(routeArgv(ordinary, exists).argv).toEqual(ordinary);
        const once = routeArgv([server, ...ordinary], () => true).argv;
        expect(routeArgv(once, () => true).argv).toEqual(once);
      }),
    );
  });

  it('no argument is lost or invented, whatever is typed', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.constantFrom('-s', '-t', '--', '--json', 'accounts', 'list', 'use'), fc.string()),
          { maxLength: 8 },
        ),
        (argv) => {
          fc.pre(!argv.includes('help') && !argv.includes('--version'));
          const routed = routeArgv(argv, () => true).argv;
          const added = new Set(['--server', '--tenant', '--help']);
          expect(routed.filter((arg) => !added.has(arg)).sort()).toEqual(
            argv.filter((arg) => !added.has(arg)).sort(),
          );
        },
      ),
    );
  });

  it('no reserved word is ever taken for a server', () => {
    for (const word of RESERVED_WORDS)
      expect(routeArgv([word, 'x', 'list'], () => true).server).not.toBe(word);
  });
});
