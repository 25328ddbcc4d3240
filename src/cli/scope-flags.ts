/** Server and tenant as far as a call names them itself. */
export interface GivenScope {
  server?: string;
  tenant?: string;
}

/** Whether an argument is a flag; a lone `-` is a word. */
export function isFlag(arg: string): boolean {
  return arg.length > 1 && arg.startsWith('-');
}

/** Whether the argument is a scope flag whose value is the next argument (`-s x`, `--tenant x`). */
export function takesNextWord(arg: string): boolean {
  return arg === '-s' || arg === '-t' || arg === '--server' || arg === '--tenant';
}

/** Reads `-s`, `-t`, `--server` and `--tenant`, in every spelling, up to a `--`; the last one counts. */
export function scopeGiven(args: readonly string[]): GivenScope {
  const given: GivenScope = {};
  for (let i = 0; i < args.length && args[i] !== '--'; i++) {
    const match = /^(?:--(server|tenant)(?:=(.*))?|-([st])=?(.*))$/s.exec(args[i] as string);
    if (!match) continue;
    const attached = match[2] ?? (match[4] === '' ? undefined : match[4]);
    const value = attached ?? args[i + 1];
    if (attached === undefined) i += 1;
    if (value === undefined) continue;
    if (match[1] === 'server' || match[3] === 's') given.server = value;
    else given.tenant = value;
  }
  return given;
}

/** Whether `--json` is among the arguments before a `--`. */
export function jsonRequested(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes('--json');
}
