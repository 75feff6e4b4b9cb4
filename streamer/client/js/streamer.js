/** A request was refused or has failed. */
export class StreamerError extends Error {}
