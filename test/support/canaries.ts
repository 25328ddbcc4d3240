import { randomBytes } from 'node:crypto';

/** A secret that is looked for wherever it should not be, in every form it could take there. */
export interface Canary {
  name: string;
  /** The secret itself, as it is given to the program. */
  secret: string;
  forms: ReadonlyArray<{ form: string; bytes: Buffer }>;
}

/** Base64 of the bytes as it appears inside a longer encoded text, by where in a group of three they begin. */
function base64Inside(bytes: Buffer, shift: 0 | 1 | 2): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
  const wholeCharacters = Math.floor(((shift + bytes.length) * 8) / 6);
  return text.slice([0, 2, 3][shift], wholeCharacters);
}

function formsOf(bytes: Buffer): Canary['forms'] {
  const hex = bytes.toString('hex');
  const percent = hex.replace(/../g, '%$&');
  const base64 = ([0, 1, 2] as const).map((shift) => base64Inside(bytes, shift));
  const texts: Array<[form: string, text: string]> = [
    ...base64.map((text): [string, string] => ['base64', text]),
    ...base64.map((text): [string, string] => ['base64url', text.replaceAll('+', '-').replaceAll('/', '_')]),
    ['hex', hex],
    ['hex', hex.toUpperCase()],
    ['percent-encoded', percent],
    ['percent-encoded', percent.toUpperCase()],
    ['percent-encoded', encodeURIComponent(bytes.toString())],
  ];
  const forms = [
    { form: 'plain', bytes },
    ...texts.map(([form, text]) => ({ form, bytes: Buffer.from(text) })),
  ];
  // What an encoding leaves as it is counts under the first name it has.
  return forms.filter(({ bytes: form }, i) => forms.findIndex((other) => other.bytes.equals(form)) === i);
}

/** Makes a canary of a secret that exists. */
export function canaryOf(name: string, secret: string, core: Buffer = Buffer.from(secret)): Canary {
  return { name, secret, forms: formsOf(core) };
}

/**
 * Makes a secret of a random core among characters that quoting and escaping change. Its core is what is looked for, so it
 * is found whatever was done to the rest.
 */
export function makeCanary(name: string): Canary {
  const core = randomBytes(12).toString('hex');
  return canaryOf(name, `"p/+=%${core}%20\\w'`, Buffer.from(core));
}

/** Names of the canaries that are somewhere in the bytes, each with the form it was found in. */
export function findCanaries(where: Buffer | string, canaries: readonly Canary[]): string[] {
  const bytes = typeof where === 'string' ? Buffer.from(where) : where;
  const found = canaries.flatMap(({ name, forms }) =>
    forms.filter((each) => bytes.includes(each.bytes)).map(({ form }) => `${name} (${form})`),
  );
  return [...new Set(found)];
}
