import { BaseCommand } from '../cli/base-command.js';

/** Prints the version; the plain form is answered before any command is loaded. */
export default class Version extends BaseCommand {
  static override summary = 'Print the version.';
  static override enableJsonFlag = true;

  override async run(): Promise<{ version: string; node: string }> {
    await this.parse(Version);
    this.log(this.config.version);
    return { version: this.config.version, node: process.version };
  }
}
