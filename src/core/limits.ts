/** Most recipients of one message. */
export const MAX_RECIPIENTS = 1000;
const MAX_MESSAGE_MIB = 50;
/** Largest message in octets, composed or ready-made. */
export const MAX_MESSAGE_BYTES = MAX_MESSAGE_MIB * 1024 * 1024;
/** The same for people. */
export const MAX_MESSAGE_SIZE = `${MAX_MESSAGE_MIB} MiB`;
