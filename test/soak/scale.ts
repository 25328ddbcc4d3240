/** Whether the long form runs (`npm run soak`); every run of the tests has the short one. */
export const isLong = process.env.SOAK === 'long';

/** The size of something in the long and in the short form. */
export const scale = (long: number, short: number): number => (isLong ? long : short);
