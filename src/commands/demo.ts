import { BaseCommand } from '../cli/base-command.js';
import { escapeControl, paint } from '../cli/output.js';

/** Takes one message through the whole system before your eyes. */
export default class Demo extends BaseCommand {
  static override summary = 'See a message go through the whole system, on throw-away servers.';
  static override description =
    'Starts a daemon and an SMTP server on this machine, in a temporary directory, sends one message over STARTTLS, and removes everything again. Nothing leaves the machine.';
  static override examples = ['<%= config.bin %> demo'];

  override async run(): Promise<void> {
    await this.parse(Demo);
    const stopped = new AbortController();
    const stop = (): void => stopped.abort();
    // A second signal must not end it before all is removed: npm passes Ctrl-C on although the terminal sends it already.
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    let steps = 0;
    const { runDemo } = await import('../services/run-demo.js');
    await runDemo(
      {
        step: (title) => process.stdout.write(`\n${paint('bold', `${++steps}. ${title}`)}\n`),
        fact: (name, value) => process.stdout.write(`   ${name.padEnd(16)} ${escapeControl(value)}\n`),
        text: (lines) => {
          for (const line of lines.trimEnd().split('\n'))
            process.stdout.write(`   ${paint('dim', '│')} ${escapeControl(line)}\n`);
        },
      },
      stopped.signal,
    );
    process.stdout.write(
      `\n${paint('green', 'The message was queued, encrypted on its way, delivered and reported as sent.')}\n`,
    );
  }
}
