/**
 * Makes a line in which one goes on in each turn of the event loop, the first at once. What is composed for later then never holds
 * up the connections that wait for an answer now.
 *
 * @returns Call it before the work; it gives undefined when the work may begin, else a promise to wait for.
 */
export function createOneATurn(): () => Promise<void> | undefined {
  const line: Array<() => void> = [];
  let isTaken = false;
  const next = (): void => {
    const goOn = line.shift();
    isTaken = goOn !== undefined;
    if (goOn === undefined) return;
    goOn();
    setImmediate(next);
  };
  return () => {
    if (isTaken) return new Promise((resolve) => line.push(resolve));
    isTaken = true;
    setImmediate(next);
    return undefined;
  };
}
