/** Median of numbers. */
export function median(values) {
  return percentile(values, 50);
}

/** A percentile of numbers, between two of them where it falls there. */
export function percentile(values, percent) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}
