const ZERO_WIDTH = /[\p{Mark}\p{Default_Ignorable_Code_Point}]/u;
/** East Asian wide and full-width blocks, and emoji, which terminals draw two cells wide (Unicode UAX #11). */
const TWO_CELLS =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\p{Emoji_Presentation}\u{20000}-\u{3fffd}]/u;

function cellsOf(character: string): number {
  if (character >= ' ' && character <= '~') return 1;
  if (ZERO_WIDTH.test(character)) return 0;
  return TWO_CELLS.test(character) ? 2 : 1;
}

/** Number of terminal cells that text without control characters takes. */
export function displayWidth(text: string): number {
  let cells = 0;
  for (const character of text) cells += cellsOf(character);
  return cells;
}

/** Shortens text to at most `cells` terminal cells, the last one an ellipsis when something was cut. */
export function truncate(text: string, cells: number): string {
  if (displayWidth(text) <= cells) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    used += cellsOf(character);
    if (used > cells - 1) break;
    kept += character;
  }
  return `${kept}…`;
}
