/** Whether a person can be asked: both ends of the dialogue are a terminal. Questions go to stderr. */
export function canPrompt(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Asks for a secret without showing it. Call only when {@link canPrompt}. */
export async function askSecret(message: string): Promise<string> {
  const { password } = await import('@inquirer/prompts');
  return password({ message, validate: notEmpty }, onStderr());
}

/** Asks for a line of text. Call only when {@link canPrompt}. */
export async function askText(message: string, suggestion?: string): Promise<string> {
  const { input } = await import('@inquirer/prompts');
  return input({ message, validate: notEmpty, ...(suggestion ? { default: suggestion } : {}) }, onStderr());
}

/** Asks a yes-or-no question; the answer to a bare Enter is no. Call only when {@link canPrompt}. */
export async function askConfirmation(message: string): Promise<boolean> {
  const { confirm } = await import('@inquirer/prompts');
  return confirm({ message, default: false }, onStderr());
}

function onStderr() {
  return { input: process.stdin, output: process.stderr };
}

function notEmpty(value: string): true | string {
  return value !== '' || 'A value is needed.';
}
