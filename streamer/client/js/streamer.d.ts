/** The service refused a request, or it has failed. */
export class StreamerError extends Error {}
