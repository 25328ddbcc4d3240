/**
 * Makes a line in which one goes on in each turn of the event loop, the first at once. What is composed for later then never holds
 * up the connections that wait for an answer now.
 *
 * @param isBefore - Whether one place in the line is in front of another; equal places go in the order they came.
 * @returns Call it with a place before the work; it gives undefined when the work may begin, else a promise to wait for.
 */
export function createOneATurn<Place>(
  isBefore: (one: Place, other: Place) => boolean,
): (place: Place) => Promise<void> | undefined {
  const line: Array<{ place: Place; goOn: () => void }> = [];
  let isTaken = false;
  const next = (): void => {
    const first = line.shift();
    isTaken = first !== undefined;
    if (first === undefined) return;
    first.goOn();
    setImmediate(next);
  };
  return (place) => {
    if (isTaken) {
      return new Promise((goOn) => {
        let at = line.length;
        while (at > 0 && isBefore(place, (line[at - 1] as { place: Place }).place)) at--;
        line.splice(at, 0, { place, goOn });
      });
    }
    isTaken = true;
    setImmediate(next);
    return undefined;
  };
}
