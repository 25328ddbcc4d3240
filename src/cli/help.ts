import type { Interfaces } from '@oclif/core';
import type { Command } from '@oclif/core/command';
import { CommandHelp, Help } from '@oclif/core/help';
import { unknownCommand } from './command-not-found.js';
import { isFlag, scopeGiven } from './scope-flags.js';
import { type Scope, scopesOf } from './vocabulary.js';

type Given = ReturnType<typeof scopeGiven>;

const GROUPS: ReadonlyArray<[Scope, string]> = [
  ['root', 'GLOBAL COMMANDS'],
  ['server', 'COMMANDS ABOUT A SERVER'],
  ['tenant', 'COMMANDS ABOUT A TENANT'],
];

/** `mail-proxy` and the scope a command takes: as placeholders, or as it was given. */
function program(bin: string, given: Given, scopes: readonly Scope[]): string {
  const server = given.server ?? '<server>';
  const tenant = given.tenant ?? '<tenant>';
  if (scopes.includes('tenant')) {
    if (given.tenant !== undefined) return `${bin} ${server} ${tenant}`;
    return given.server === undefined ? `${bin} [<server> [<tenant>]]` : `${bin} ${server} [<tenant>]`;
  }
  if (scopes.includes('server')) return given.server === undefined ? `${bin} [<server>]` : `${bin} ${server}`;
  return bin;
}

/** Help of one command: its usage line has the scope, and so have its examples when one was given. */
class ScopedCommandHelp extends CommandHelp {
  private given: Given;

  constructor(
    command: Command.Loadable,
    config: Interfaces.Config,
    opts: Interfaces.HelpOptions,
    given: Given,
  ) {
    super(command, config, opts);
    this.given = given;
  }

  protected override usage(): string {
    const id = this.command.id.replaceAll(':', ' ');
    const args = Object.values(this.command.args ?? {})
      .filter((arg) => !arg.hidden && !(arg.name === 'server' && this.given.server !== undefined))
      .map((arg) => {
        const name = `<${arg.name}>${arg.multiple === true ? '...' : ''}`;
        return arg.required ? name : `[${name}]`;
      });
    const scopes = this.command.args?.server && this.given.server === undefined ? [] : scopesOf(id);
    return [`$ ${program(this.config.bin, this.given, scopes)} ${id}`, ...args, '[flags]'].join(' ');
  }

  protected override examples(examples: Command.Example[] | string | undefined): string | undefined {
    if (examples === undefined || typeof examples === 'string') return super.examples(examples);
    return super.examples(
      examples.map((each) =>
        typeof each === 'string' ? this.fillIn(each) : { ...each, command: this.fillIn(each.command) },
      ),
    );
  }

  /** Examples are written for `myserver` and `acme`. */
  private fillIn(example: string): string {
    const { server, tenant } = this.given;
    const both =
      tenant === undefined
        ? example
        : example.replace(/(%>|mail-proxy) myserver acme\b/g, `$1 myserver ${tenant}`);
    return server === undefined ? both : both.replace(/(%>|mail-proxy) myserver\b/g, `$1 ${server}`);
  }
}

/**
 * Help that knows the scoped form: commands are grouped by what they are about, and the server and tenant that
 * the router has filled in are shown in usage lines and examples.
 */
export default class ScopedHelp extends Help {
  private given: Given = {};

  override async showHelp(argv: string[]): Promise<void> {
    this.given = scopeGiven(argv);
    const end = argv.findIndex(isFlag);
    const words = (end === -1 ? argv : argv.slice(0, end)).flatMap((word) => word.split(':'));
    if (words.length === 0) return this.showRootHelp();
    for (let length = words.length; length > 0; length--) {
      const id = words.slice(0, length).join(':');
      const command = this.config.findCommand(id);
      if (command) return this.showCommandHelp(command);
      const topic = length === words.length ? this.config.findTopic(id) : undefined;
      if (topic) return this.showTopicHelp(topic);
    }
    throw unknownCommand(words.join(' '), this.config.commandIDs);
  }

  protected override async showRootHelp(): Promise<void> {
    const scope =
      this.given.tenant !== undefined ? 'tenant' : this.given.server !== undefined ? 'server' : 'root';
    this.log(`${this.config.pjson.description ?? ''}\n`);
    this.log(
      `${this.section('USAGE', `$ ${program(this.config.bin, this.given, ['tenant'])} <command> [args] [flags]`)}\n`,
    );
    for (const [group, title] of GROUPS) {
      // Inside a server the global commands are of no use, inside a tenant those about the server.
      if (GROUPS.findIndex(([each]) => each === scope) > GROUPS.findIndex(([each]) => each === group))
        continue;
      const entries = this.entries(group);
      if (entries.length > 0) this.log(`${this.section(title, entries)}\n`);
    }
    this.log(`\`${program(this.config.bin, this.given, [scope])} help <command>\` explains a command.`);
  }

  /** Commands and topics whose first scope is `group`, one line each; `info` is in both of its groups. */
  private entries(group: Scope): [string, string | undefined][] {
    const commands = this.sortedCommands.filter((each) => !/[: ]/.test(each.id));
    const topics = new Set(
      this.config.commandIDs.filter((id) => id.includes(':')).map((id) => id.split(':')[0] as string),
    );
    const all: [string, string | undefined][] = [
      ...[...topics].map((topic): [string, string | undefined] => [
        topic,
        this.config.findTopic(topic)?.description,
      ]),
      ...commands.map((command): [string, string | undefined] => [command.id, this.summary(command)]),
    ];
    return all.filter(([word]) => scopesOf(word).includes(group)).sort(([a], [b]) => (a < b ? -1 : 1));
  }

  protected override formatTopic(topic: Interfaces.Topic): string {
    const name = topic.name.replaceAll(':', ' ');
    const usage = `$ ${program(this.config.bin, this.given, scopesOf(name))} ${name} <command>`;
    return `${topic.description ?? ''}\n\n${this.section('USAGE', usage)}\n`;
  }

  protected override getCommandHelpClass(command: Command.Loadable): CommandHelp {
    return new ScopedCommandHelp(command, this.config, this.opts, this.given);
  }
}
