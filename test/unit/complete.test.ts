import { describe, expect, it } from 'vitest';
import { type CompletionSources, complete } from '../../src/cli/complete.js';

const sources: CompletionSources = {
  servers: ['alpha', 'myserver'],
  commands: {
    'accounts:add': {
      flags: {
        tls: { type: 'option', options: ['none', 'ssl'] },
        'tls-verify': { type: 'boolean', allowNo: true },
        old: { type: 'boolean', hidden: true },
      },
    },
    'accounts:list': { flags: { account: { type: 'option' } } },
    'audit:list': {},
    keygen: {},
    secretly: { hidden: true },
    status: { args: { server: {} } },
  },
  names: (kind, scope) => [`${kind}-of-${scope.server}`],
};
const at = (line: string) => complete(line.split(' '), sources);

describe('complete', () => {
  it.each([
    ['', ['accounts', 'alpha', 'audit', 'help', 'keygen', 'myserver', 'status']],
    ['a', ['accounts', 'alpha', 'audit']],
    ['accounts ', ['add', 'list']],
    ['accounts l', ['list']],
    ['help acc', ['accounts']],
    // inside a scope
    ['myserver ', ['accounts', 'audit', 'status', 'tenant-of-myserver']],
    ['myserver acme ', ['accounts']],
    ['myserver acme accounts a', ['add']],
    ['myserver --json acme accounts a', ['add']],
    // flags and their values
    ['myserver acme accounts add --', ['--help', '--no-tls-verify', '--tls', '--tls-verify']],
    ['accounts add --tls ', ['none', 'ssl']],
    ['myserver acme accounts list --account ', ['account-of-myserver']],
    ['accounts list -s ', ['alpha', 'myserver']],
    ['accounts list -s myserver -t ', ['tenant-of-myserver']],
    // the server as an argument
    ['status ', ['alpha', 'myserver']],
    ['status alpha ', []],
    ['myserver status ', []],
    ['nosuch thing other x', []],
  ])('%j', (line, expected) => expect(at(line)).toEqual(expected));

  it('offers no names when nobody can tell them', () => {
    expect(complete(['-t', ''], { ...sources, names: undefined } as CompletionSources)).toEqual([]);
  });
});
