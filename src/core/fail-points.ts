/** The steps of a delivery, in order, at which a test can have the process end. */
export const FAIL_POINTS = [
  'claimed',
  'composed',
  'connected',
  'before-mark',
  'marked',
  'body-begun',
  'body-ended',
  'answered',
  'settled',
] as const;

/** A step of a delivery between "claimed" and "settled". */
export type FailPoint = (typeof FAIL_POINTS)[number];

let armed: { point: FailPoint; passes: number } | undefined;

/**
 * Arms one point for this process: the n-th time that a delivery passes it, the process is killed as by a power cut. For
 * crash tests only.
 *
 * @param spec - `<point>` or `<point>:<n>`; undefined disarms. An unknown point is ignored.
 */
export function armFailPoint(spec: string | undefined): void {
  const [name, passes = '1'] = (spec ?? '').split(':');
  const point = FAIL_POINTS.find((known) => known === name);
  armed = point === undefined ? undefined : { point, passes: Number(passes) };
}

/** Passes a point; returns unless it is armed and its turn has come. */
export function failPoint(point: FailPoint): void {
  if (armed === undefined || armed.point !== point || --armed.passes > 0) return;
  process.kill(process.pid, 'SIGKILL');
}
