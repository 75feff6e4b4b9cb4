/** The JavaScript client of streamer. All durations are milliseconds, unless a text says otherwise (`"2s"`). */

/** What `onStateChange` is told. */
export type State =
  /** No connection, and nothing waits for one. */
  | "idle"
  /** The next try is due after a delay. */
  | "waiting"
  | "connecting"
  | "open"
  /** Ended for good: by `close()`, or because the service said that connecting again is no use. */
  | "closed";

export interface StateDetail {
  /** `waiting`: how long until the next try. */
  delay?: number;
  /** `waiting`: how many tries there have been without a connection that lasted, with this one. */
  tries?: number;
  /** How the last connection or try ended: the close code; 1006 when there was none. */
  code?: number;
  /** Why it ended, as far as it is known: the service's words, or what the token function did instead. */
  reason?: string;
  cause?: unknown;
}

/** An option that is undefined or null means its default. A time that is no number above 0 is refused at once. */
export interface ClientOptions {
  /**
   * A secret that makes requests this client's own: whoever knows it may resume and cancel them. A random one by
   * default. Where the service authenticates, requests belong to the token's principal instead. 1 to 128 printable
   * characters.
   */
  clientId?: string;
  /** Where `clientId` is kept, so that a page finds its requests after a reload: `sessionStorage`. */
  storage?: Pick<Storage, "getItem" | "setItem">;
  /** Under which key; `streamer.client_id` by default. */
  storageKey?: string;
  /**
   * Sent as the subprotocol `bearer`. A function is asked before each connection, so give one where tokens expire. When
   * it fails, brings no token, or takes longer than `openTimeout`, `onStateChange` is given the reason, and it is asked
   * again at the next try.
   */
  token?: string | (() => string | Promise<string>);
  /** Whether a connection that breaks is opened again; true by default. */
  reconnect?: boolean;
  /** The longest random delay between two tries; 30,000 by default. */
  maxReconnectDelay?: number;
  /**
   * Whether a request of which nothing has been heard is sent again after a break; true by default. A queued request
   * is still the same one, but a direct one may run again, three times in all: then it ends with NotAnswered. Where that
   * does harm say false: it ends with ConnectionLost.
   */
  resend?: boolean;
  /** How long a handshake may take; 10,000 by default. */
  openTimeout?: number;
  /** Silence after which the service is asked for a sign of life, while anything waits; 30,000 by default. */
  pingInterval?: number;
  /** How long that may take; 20,000 by default. After a connection on which it took longer, twice as long. */
  pingTimeout?: number;
  /** The constructor to use where there is no global one, as in Node 20: that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  onStateChange?: (state: State, detail: StateDetail) => void;
  /** A number from 0 to below 1 for the jitter of delays; `Math.random` by default. */
  random?: () => number;
}

/** The part of the standard's WebSocket that the client uses. */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number): void;
  addEventListener(type: string, listener: (event: any) => void): void;
}

/** One report of progress of a queued request. */
export interface Progress<Metadata = Record<string, unknown>> {
  requestId: string;
  /** Rises with each message of the request, over reconnects too; may skip. */
  seq: number;
  /** 0 to 100; within one attempt of the handler it never falls. */
  percentage: number;
  message: string;
  metadata: Metadata | null;
  /** ISO 8601. */
  timestamp: string;
}

export interface RequestOptions {
  /** The request's name, 1 to 128 printable characters: the same name is the same queued request, stored once. */
  id?: string;
  /** Strings that the handler may read. */
  metadata?: Record<string, string>;
  /** How long to wait for a direct answer before the request is queued: `"2s"` or seconds; 0 queues it. */
  wait?: string | number;
  /** As for the client, for this request. */
  resend?: boolean;
  /** Its abort ends the waiting at once with the signal's reason, and cancels a queued request. */
  signal?: AbortSignal;
  /** The service has stored the request: it ends once from now on, whatever breaks. */
  onAcknowledged?: (requestId: string) => void;
  /** Called with each report, in order, before the result. */
  onProgress?: (progress: Progress) => void;
}

export interface ResumeOptions {
  /** Progress that is not newer is not shown again. */
  afterSeq?: number;
  onProgress?: (progress: Progress) => void;
}

/**
 * One request, over all connections. `for await` yields its progress, the newest thousand of what was not read, and
 * stops when the request has ended, however: `result` tells. Each report goes to one of those that iterate.
 */
export interface RequestHandle<Result = unknown> extends AsyncIterable<Progress> {
  readonly id: string;
  /** Rejected with StreamerError, ConnectionLost, or the reason of an abort. */
  readonly result: Promise<Result>;
  /** True once the service has stored the request; false when it has ended without that. Never rejected. */
  readonly acknowledged: Promise<boolean>;
  readonly done: boolean;
  /** What the result carries beside its data; null before the end. */
  readonly metadata: Record<string, unknown> | null;
  /** Asks the service to cancel the request, once it is stored. Rejected with CONFLICT when it has ended. */
  cancel(): Promise<Cancelled>;
}

export interface Cancelled {
  request_id: string;
  status: Status;
}

export type Status = "PENDING" | "PROCESSING" | "RETRYING" | "COMPLETED" | "FAILED" | "CANCELLED";

/** Where a queued request is. */
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

/** Who the service takes this connection for. */
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
   * @throws TypeError when the address is none, there is no WebSocket, or an option is not what it must be.
   * @throws RangeError when a time is not above 0.
   */
  constructor(url: string | URL, options?: ClientOptions);

  /** The address without its query, which holds secrets. */
  readonly url: string;
  readonly clientId: string;
  readonly state: State;

  /**
   * Tries once to open the connection, now, also after `close()`; rejected with ConnectionLost when that fails.
   * Requests open it by themselves, and go on trying.
   */
  connect(): Promise<void>;

  /** Ends the connection. What still waits fails with ConnectionLost; queued requests go on at the service. */
  close(): void;

  /** Sends a request and waits for its result, over as many connections as it takes. */
  request<Result = any>(action: string, payload?: unknown, options?: RequestOptions): Promise<Result>;

  /**
   * Sends a request and returns at once.
   * @throws Error when a request with this id waits already; TypeError when the payload has no JSON form, or an option
   * is not what it must be.
   */
  start<Result = any>(action: string, payload?: unknown, options?: RequestOptions): RequestHandle<Result>;

  /** A queued request of an earlier page or process with the same owner. Rejected with NOT_FOUND. */
  resume<Result = any>(options: ResumeOptions & { requestId: string }): Promise<RequestHandle<Result>>;
  /** Every request of this owner that has not ended, or whose end nobody was told. */
  resume(options?: ResumeOptions): Promise<RequestHandle[]>;

  /** Cancels a queued request. Rejected with CONFLICT when it has ended. */
  cancel(requestId: string): Promise<Cancelled>;

  status(requestId: string): Promise<RequestStatus>;

  /** This owner's queued requests, newest first, a page at a time. */
  list(asked?: { status?: Status; limit?: number; cursor?: string }): Promise<RequestPage>;

  /** Gives the service a fresh token on the open connection. The next connections use it too, unless a function does. */
  authenticate(token: string): Promise<Principal>;
}

/** A request was refused or has failed: the service's error, as it came. */
export class StreamerError extends Error {
  /** What happened, for programs: `VALIDATION_ERROR`, `NOT_FOUND`, … or a handler's own. */
  readonly code: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** What belongs to the code; of VALIDATION_ERROR every violation: `errors: [{path, message}]`. */
  readonly details: Record<string, any>;
  readonly requestId: string | null;
  /** What the result held beside its error. */
  readonly data: unknown;
}

/** The connection ended while something waited, or none could be opened. Browsers do not tell scripts why. */
export class ConnectionLost extends StreamerError {
  readonly url: string;
  /** RFC 6455, section 7.4; 1006 when there was none. */
  readonly closeCode: number;
  readonly reason: string;
}

/**
 * Three times in a row the connection ended before the answer, and it was sent again each time. The service may have run
 * it each time: what ends the connection may be the request itself, by killing the service or by taking longer than a
 * proxy waits. Its code is `NOT_ANSWERED`.
 */
export class NotAnswered extends ConnectionLost {
  /** How many connections ended so. */
  readonly times: number;
  /** Whether the service had acknowledged it; then it goes on. */
  readonly stored: boolean;
}

/**
 * The request is larger than the service takes, or a message about it is larger than this client's WebSocket takes
 * (`maxPayload` of the package `ws`). Only this request ends. Its code is `MESSAGE_TOO_LARGE`, its `closeCode` 1009.
 */
export class MessageTooLarge extends ConnectionLost {}
