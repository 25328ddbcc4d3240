import { createReadStream } from 'node:fs';
import { string } from '@oclif/core/args';
import { string as stringFlag } from '@oclif/core/flags';
import { TenantCommand } from '../cli/base-command.js';
import { withServer } from '../cli/with-server.js';
import { MailProxyError } from '../core/errors.js';
import { MAX_MESSAGE_BYTES, MAX_MESSAGE_SIZE } from '../core/limits.js';

interface Sent {
  ok: true;
  id: string;
  from: string;
  recipients: string[];
  message_id: string;
  added_headers: string[];
}

/** Queues a ready-made message. */
export default class Send extends TenantCommand {
  static override summary = 'Queue a message from an .eml file.';
  static override description =
    'The bytes are delivered as they are but for line ends; Bcc is removed. The envelope comes from the headers unless --from or --to is given. "-" reads stdin.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme send letter.eml',
    '<%= config.bin %> myserver acme send letter.eml --to someone@example.com --account smtp2',
  ];
  static override args = {
    file: string({ description: 'The message (RFC 5322), or - for stdin.', required: true }),
  };
  static override flags = {
    id: stringFlag({ summary: 'Id of the message; made when left out.', helpValue: 'ID' }),
    account: stringFlag({
      summary: 'Account to send through; the default one when left out.',
      helpValue: 'ID',
    }),
    from: stringFlag({ summary: 'Envelope sender.', helpValue: 'ADDRESS' }),
    to: stringFlag({
      summary: 'Envelope recipient, in place of those of the headers; may be repeated.',
      multiple: true,
    }),
    priority: stringFlag({
      summary: 'Its place in the queue; GMP_DEFAULT_PRIORITY or medium when left out.',
      options: ['immediate', 'high', 'medium', 'low'],
    }),
    batch: stringFlag({ summary: 'Batch code to file it under.', helpValue: 'CODE' }),
  };

  override async run(): Promise<Sent> {
    const { args, flags } = await this.parse(Send);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const bytes = await readMessage(args.file);
    const sent = await withServer(server, async (context) => {
      const [{ sendEml }, { parsePriority }, { defaultPriorityFrom }] = await Promise.all([
        import('../services/send-eml.js'),
        import('../core/priority.js'),
        import('../config/daemon-config.js'),
      ]);
      return await sendEml(context, tenant, bytes, {
        id: flags.id,
        accountId: flags.account,
        from: flags.from,
        to: flags.to,
        priority:
          flags.priority === undefined ? defaultPriorityFrom(process.env) : parsePriority(flags.priority),
        batchCode: flags.batch,
      });
    });
    if (!this.jsonEnabled()) {
      process.stdout.write(
        `Queued message ${sent.id} from ${sent.from || '<>'} to ${sent.recipients.length} recipient(s).\n`,
      );
    }
    if (sent.added.length > 0) this.note(`Added what the file lacked: ${sent.added.join(', ')}.`);
    await this.#remarkStopped(server);
    const { id, from, recipients, messageId, added } = sent;
    return { ok: true, id, from, recipients, message_id: messageId, added_headers: added };
  }

  async #remarkStopped(server: { name: string; directory: string }): Promise<void> {
    const { serverStatus } = await import('../services/server-status.js');
    if (serverStatus(server.name, server.directory, process.env, Date.now()).state === 'running') return;
    this.note(
      `The daemon is not running: the message is sent once "mail-proxy start ${server.name}" has started it.`,
    );
  }
}

async function readMessage(file: string): Promise<Buffer> {
  if (file === '-') return await readBounded(process.stdin);
  try {
    return await readBounded(createReadStream(file));
  } catch (cause) {
    if (cause instanceof MailProxyError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new MailProxyError('file_unreadable', `The message file cannot be read: ${code}.`, { cause });
  }
}

/** Devices and pipes have no size beforehand: what comes is counted. */
async function readBounded(source: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > MAX_MESSAGE_BYTES) throw tooLarge();
  }
  return Buffer.concat(chunks);
}

function tooLarge(): MailProxyError {
  return new MailProxyError('body_too_large', `The message is larger than ${MAX_MESSAGE_SIZE}.`);
}
