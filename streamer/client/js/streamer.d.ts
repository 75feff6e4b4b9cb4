/** The JavaScript client of streamer. All durations are in milliseconds, except strings with a unit (`"2s"`). */

/** The state of the connection, passed to `onStateChange`. */
export type State =
  /** No connection, and nothing waits for one. */
  | "idle"
  /** The next try is due after a delay. */
  | "waiting"
  | "connecting"
  | "open"
  /** Ended permanently: by `close()`, or because the close code says that connecting again is useless. */
  | "closed";

export interface StateDetail {
  /** `waiting`: the time until the next try. */
  delay?: number;
  /** `waiting`: the number of tries since the last stable connection, including the next one. */
  tries?: number;
  /** The close code of the last connection or try; 1006 when there was none. */
  code?: number;
  /** Why it ended, if known: the reason from the service, or the error of the token function. */
  reason?: string;
  cause?: unknown;
}

/** An undefined or null option means its default. A time must be a number above 0. */
export interface ClientOptions {
  /**
   * A secret that identifies the owner of requests: everybody who knows it may resume and cancel them. Default: a
   * random one. With authentication, requests belong to the token's principal instead. 1 to 128 printable
   * characters.
   */
  clientId?: string;
  /** The storage of `clientId`, so that a page finds its requests after a reload. Default: `sessionStorage`. */
  storage?: Pick<Storage, "getItem" | "setItem">;
  /** The key in that storage. Default: `streamer.client_id`. */
  storageKey?: string;
  /**
   * Sent as the subprotocol `bearer`. A function is called before each connection, so use one if tokens expire. If
   * it fails, returns no token, or takes longer than `openTimeout`, `onStateChange` gets the reason, and it is called
   * again at the next try.
   */
  token?: string | (() => string | Promise<string>);
  /** Whether a connection that breaks is opened again. Default: true. */
  reconnect?: boolean;
  /** The longest random delay between two tries. Default: 30,000. */
  maxReconnectDelay?: number;
  /**
   * Whether a request without any answer is sent again after a break. Default: true. A queued request
   * is still the same one, but a direct one may run again, up to three times; then it fails with NotAnswered. If that
   * does harm, use false: the request then fails with ConnectionLost.
   */
  resend?: boolean;
  /** Time limit of a handshake. Default: 10,000. */
  openTimeout?: number;
  /** Time without a message after which the client sends a ping, while any request waits. Default: 30,000. */
  pingInterval?: number;
  /** Time limit of the answer to a ping; doubled after a connection that exceeded it. Default: 20,000. */
  pingTimeout?: number;
  /** The WebSocket constructor, where there is no global one: in Node 20, that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  onStateChange?: (state: State, detail: StateDetail) => void;
  /** Returns a number from 0 to below 1, for the jitter of delays. Default: `Math.random`. */
  random?: () => number;
}

/** The part of the standard's WebSocket that the client uses. */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number): void;
  addEventListener(type: string, listener: (event: any) => void): void;
}

/** One progress report of a queued request. */
export interface Progress<Metadata = Record<string, unknown>> {
  requestId: string;
  /** Increases with each message of the request, also across reconnects; numbers may be skipped. */
  seq: number;
  /** 0 to 100; never decreases within one attempt of the handler. */
  percentage: number;
  message: string;
  metadata: Metadata | null;
  /** ISO 8601. */
  timestamp: string;
}

export interface RequestOptions {
  /** The request's id, 1 to 128 printable characters: the same id is the same queued request, stored once. */
  id?: string;
  /** Strings that the handler may read. */
  metadata?: Record<string, string>;
  /** How long to wait for a direct answer before the request is queued: `"2s"` or seconds; 0 queues it at once. */
  wait?: string | number;
  /** As the option of the client, for this request. */
  resend?: boolean;
  /** Aborting it rejects the result with the signal's reason, and cancels a queued request. */
  signal?: AbortSignal;
  /** The service has stored the request, which will end exactly once even if the connection breaks. */
  onAcknowledged?: (requestId: string) => void;
  /** Called with each report, in order, before the result. */
  onProgress?: (progress: Progress) => void;
}

export interface ResumeOptions {
  /** Only newer progress is reported. */
  afterSeq?: number;
  onProgress?: (progress: Progress) => void;
}

/**
 * One request, over all connections. `for await` yields its progress, up to the newest thousand unread reports, and
 * stops when the request has ended in any way; `result` settles with its outcome. Each report goes to one iterator.
 */
export interface RequestHandle<Result = unknown> extends AsyncIterable<Progress> {
  readonly id: string;
  /** The result's data. Rejected with StreamerError, ConnectionLost, or the reason of an abort. */
  readonly result: Promise<Result>;
  /** True once the service has stored the request; false when it has ended without being stored. Never rejected. */
  readonly acknowledged: Promise<boolean>;
  readonly done: boolean;
  /** The metadata of the result; null before the end. */
  readonly metadata: Record<string, unknown> | null;
  /** Asks the service to cancel the request, once it is stored. Rejected with CONFLICT when it has ended. */
  cancel(): Promise<Cancelled>;
}

export interface Cancelled {
  request_id: string;
  status: Status;
}

export type Status = "PENDING" | "PROCESSING" | "RETRYING" | "COMPLETED" | "FAILED" | "CANCELLED";

/** The state of a queued request. */
export interface RequestStatus {
  request_id: string;
  action: string;
  status: Status;
  attempt: number;
  max_attempts: number;
  percentage: number;
  message: string;
  seq: number;
  created_at: string;
  updated_at: string;
  started_at?: string;
  retry_at?: string;
  finished_at?: string;
  success?: boolean;
  result?: unknown;
  metadata?: Record<string, unknown>;
  error?: { code: string; message: string; retryable?: boolean; details?: Record<string, unknown> };
}

export interface RequestPage {
  requests: RequestStatus[];
  /** For the next page; null when this is the last. */
  cursor: string | null;
}

/** The authenticated user of this connection. */
export interface Principal {
  user_id: string;
  tenant_id: string | null;
  /** ISO 8601; null when the token does not expire. */
  expires_at: string | null;
}

/** A client of one service, over one connection at a time. */
export class StreamerClient {
  /**
   * @param url `ws://`, `wss://`, `http://` or `https://`, with the service's path; in a page it may be relative.
   * @throws TypeError when the address or an option is invalid, or there is no WebSocket.
   * @throws RangeError when a time is not above 0.
   */
  constructor(url: string | URL, options?: ClientOptions);

  /** The address without its query, which holds secrets. */
  readonly url: string;
  readonly clientId: string;
  readonly state: State;

  /**
   * Tries once to open the connection, now, also after `close()`; rejected with ConnectionLost when that fails.
   * Requests open it by themselves, and keep trying.
   */
  connect(): Promise<void>;

  /** Closes the connection. Waiting requests fail with ConnectionLost; queued requests continue in the service. */
  close(): void;

  /** Sends a request and waits for its result, reconnecting if necessary. */
  request<Result = any>(action: string, payload?: unknown, options?: RequestOptions): Promise<Result>;

  /**
   * Sends a request and returns immediately.
   * @throws Error when a request with this id is already waiting; TypeError when the payload has no JSON form, or an
   * option is invalid.
   */
  start<Result = any>(action: string, payload?: unknown, options?: RequestOptions): RequestHandle<Result>;

  /** A queued request of an earlier page or process with the same owner. Rejected with NOT_FOUND. */
  resume<Result = any>(options: ResumeOptions & { requestId: string }): Promise<RequestHandle<Result>>;
  /** Every request of this owner that has not ended, or whose outcome was not delivered. */
  resume(options?: ResumeOptions): Promise<RequestHandle[]>;

  /** Cancels a queued request. Rejected with CONFLICT when it has ended. */
  cancel(requestId: string): Promise<Cancelled>;

  status(requestId: string): Promise<RequestStatus>;

  /** This owner's queued requests, newest first, a page at a time. */
  list(asked?: { status?: Status; limit?: number; cursor?: string }): Promise<RequestPage>;

  /** Sends the service a fresh token on the open connection. Later connections use it too, unless `token` is a function. */
  authenticate(token: string): Promise<Principal>;
}

/** A request was refused or has failed. Contains the service's error. */
export class StreamerError extends Error {
  /** What happened, for programs: `VALIDATION_ERROR`, `NOT_FOUND`, … or a handler's own. */
  readonly code: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** Details of the error; for VALIDATION_ERROR every violation: `errors: [{path, message}]`. */
  readonly details: Record<string, any>;
  readonly requestId: string | null;
  /** The data of the result, in addition to its error. */
  readonly data: unknown;
}

/** The connection ended while a caller waited, or could not be opened. Browsers do not show scripts the reason. */
export class ConnectionLost extends StreamerError {
  readonly url: string;
  /** See RFC 6455, section 7.4; 1006 when there was none. */
  readonly closeCode: number;
  readonly reason: string;
}

/**
 * The connection ended three times in a row before the answer, and the request was sent each time. The service may have
 * run it each time. The request itself may cause this, by crashing the service or by taking longer than a proxy
 * allows. The error's code is `NOT_ANSWERED`.
 */
export class NotAnswered extends ConnectionLost {
  /** How many connections ended in a row. */
  readonly times: number;
  /** Whether the service had acknowledged the request, which then continues. */
  readonly stored: boolean;
}

/**
 * The request is larger than the service accepts, or a message about it is larger than this client's WebSocket accepts
 * (`maxPayload` of the package `ws`). Other requests continue. The code is `MESSAGE_TOO_LARGE`, the `closeCode` 1009.
 */
export class MessageTooLarge extends ConnectionLost {}
