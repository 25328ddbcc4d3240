import { string as stringArgument } from '@oclif/core/args';
import { Command } from '@oclif/core/command';
import { string as stringFlag } from '@oclif/core/flags';
import type { Input, ParserOutput } from '@oclif/core/interfaces';
import { homeDirectory, serverDirectory } from '../config/paths.js';
import { MailProxyError } from '../core/errors.js';
import { type Remembered, readCurrent } from './current.js';
import { type Chosen, chooseServer, chooseTenant } from './scope.js';
import { jsonRequested } from './scope-flags.js';
import { requireServer, type ServerReference } from './servers.js';

type Named = Record<string, unknown>;

/** The positional `<server>` of commands such as `start` and `status`; spread it into `static args`. */
export const serverArgument = {
  server: stringArgument({ description: 'Name of the server.', required: false }),
};

const serverFlag = stringFlag({
  char: 's',
  summary: 'Server to act on (or MAIL_PROXY_SERVER, or `mail-proxy use`).',
  helpGroup: 'scope',
  helpValue: '<server>',
});

const tenantFlag = stringFlag({
  char: 't',
  summary: 'Tenant to act for (or MAIL_PROXY_TENANT, or `mail-proxy use`).',
  helpGroup: 'scope',
  helpValue: '<tenant>',
});

/**
 * What every command shares. Errors are thrown, never printed here: `main` turns them into one sentence, the
 * JSON envelope and the exit code. Commands with `static enableJsonFlag = true` return what `--json` prints.
 */
export abstract class BaseCommand extends Command {
  private remembered: Promise<Remembered> | undefined;

  /** The directory that holds all servers. */
  protected get home(): string {
    return homeDirectory(process.env);
  }

  override jsonEnabled(): boolean {
    return (this.ctor as typeof Command).enableJsonFlag && jsonRequested(this.argv);
  }

  override logJson(json: unknown): void {
    process.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
  }

  /** Writes a warning as one line on stderr, with `--json` too: stdout stays clean. */
  override warn(input: Error | string): Error | string {
    process.stderr.write(`Warning: ${input instanceof Error ? input.message : input}\n`);
    return input;
  }

  /** Writes progress or a remark for people on stderr. */
  protected note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /**
   * Takes arguments from the command line only. The parser would fill one that was left out from stdin, where a secret may
   * wait for `--…-stdin`: it would be taken for a name, and repeated in an error.
   */
  protected override async parse<F extends Named, B extends Named, A extends Named>(
    options?: Input<F, B, A>,
    argv?: string[],
  ): Promise<ParserOutput<F, B, A>> {
    for (const argument of Object.values(options?.args ?? {})) argument.ignoreStdin = true;
    return await super.parse(options, argv);
  }

  /** Passes every failure on unchanged, so that it is reported in one place only. */
  override async catch(error: Error): Promise<never> {
    throw error;
  }

  /** What `use` remembered, read once. */
  protected rememberedScope(): Promise<Remembered> {
    this.remembered ??= readCurrent(this.home);
    return this.remembered;
  }

  /** The server that argument, flag, environment or `use` names, or undefined. */
  protected async findServer(flag?: string, argument?: string): Promise<Chosen | undefined> {
    const environment = process.env.MAIL_PROXY_SERVER;
    // A damaged state file must not stop a call that names its server.
    const remembered = flag || argument || environment ? undefined : (await this.rememberedScope()).server;
    return chooseServer({ argument, flag, environment, remembered });
  }

  /** The tenant that argument, flag, environment or `use` names for this server, or undefined. */
  protected async findTenant(server: string, flag?: string, argument?: string): Promise<Chosen | undefined> {
    const environment = process.env.MAIL_PROXY_TENANT;
    const remembered = flag || argument || environment ? {} : await this.rememberedScope();
    return chooseTenant({ argument, flag, environment }, server, remembered);
  }
}

/**
 * A command about one server: `--server`, and for the global commands a positional {@link serverArgument}.
 * Opening the server's store is the business of the services; a command hands them the reference.
 */
export abstract class ServerCommand extends BaseCommand {
  static override baseFlags = { server: serverFlag };

  /**
   * The server this call names, whether it exists or not.
   *
   * @throws MailProxyError `usage` when nothing names one.
   */
  protected async resolveServer(flag?: string, argument?: string): Promise<ServerReference> {
    const chosen = await this.findServer(flag, argument);
    if (chosen) return { name: chosen.name, directory: serverDirectory(this.home, chosen.name) };
    throw new MailProxyError(
      'usage',
      'No server is named: put its name first (`mail-proxy <server> …`), or use --server or MAIL_PROXY_SERVER.',
    );
  }

  /** As {@link resolveServer}. @throws MailProxyError `server_not_found` when the server is not there. */
  protected async requireServer(flag?: string, argument?: string): Promise<ServerReference> {
    return requireServer(this.home, (await this.resolveServer(flag, argument)).name);
  }
}

/** A command about one tenant of one server: `--server` and `--tenant`. */
export abstract class TenantCommand extends ServerCommand {
  static override baseFlags = { ...ServerCommand.baseFlags, tenant: tenantFlag };

  /**
   * Id of the tenant this call names; the store decides whether it exists.
   *
   * @throws MailProxyError `usage` when nothing names one.
   */
  protected async resolveTenant(server: ServerReference, flag?: string): Promise<string> {
    const chosen = await this.findTenant(server.name, flag);
    if (chosen) return chosen.name;
    throw new MailProxyError(
      'usage',
      'No tenant is named: put its id after the server (`mail-proxy <server> <tenant> …`), ' +
        'or use --tenant or MAIL_PROXY_TENANT.',
    );
  }
}
