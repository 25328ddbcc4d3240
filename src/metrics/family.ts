/** One line of a scrape. */
export interface Sample {
  labels: Record<string, string>;
  value: number;
  /** Where it differs from the family's, as those of a histogram do. */
  metricName?: string;
}

/** A metric with all its samples, as it is at one moment. */
export interface Family {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  values: Sample[];
}

/** A number that goes up and down; one without labels may be given as it is. */
export function gauge(name: string, help: string, values: Sample[] | number): Family {
  return { name, help, type: 'gauge', values: samplesOf(values) };
}

/** A number that only grows. */
export function counter(name: string, help: string, values: Sample[] | number): Family {
  return { name, help, type: 'counter', values: samplesOf(values) };
}

function samplesOf(values: Sample[] | number): Sample[] {
  return typeof values === 'number' ? [{ labels: {}, value: values }] : values;
}
