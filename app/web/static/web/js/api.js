/**
 * The REST API: JSON both ways, the session's cookie and the CSRF header,
 * and one kind of error for everything that the server refuses.
 */

/** The server answered with its error document. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, message?: string, fields?: Record<string, string[]>}} document
   * @param {number} retryAfter seconds
   */
  constructor(status, document, retryAfter = 0) {
    super(document.message || `The server answered ${status}.`);
    this.name = 'ApiError';
    this.status = status;
    this.code = document.code ?? 'unknown';
    this.fields = document.fields ?? {};
    this.retryAfter = retryAfter;
  }

  get retry() {
    return this.status >= 500 || this.status === 429;
  }
}

/** No answer came: offline, or the server is away. */
export class NetworkError extends Error {
  constructor() {
    super('There is no connection to the server.');
    this.name = 'NetworkError';
  }
}

const TIMEOUT_MS = 20_000;
/** A file is read back, checked and sealed before the answer comes. */
const LONG_TIMEOUT_MS = 120_000;

export class Api {
  /**
   * @param {object} options
   * @param {() => string} options.csrf
   * @param {typeof globalThis.fetch} [options.fetch]
   */
  constructor({ csrf, fetch = globalThis.fetch.bind(globalThis) }) {
    this.csrf = csrf;
    this.fetch = fetch;
  }

  /** @param {string} path @returns {Promise<any>} */
  get(path) {
    return this.call('GET', path);
  }

  /** @param {string} path @param {object} [data] @returns {Promise<any>} */
  post(path, data = {}) {
    return this.call('POST', path, data);
  }

  /**
   * @param {string} method
   * @param {string} path below `/api`
   * @param {object} [data]
   * @param {number} [timeout] milliseconds
   * @returns {Promise<any>} the parsed answer, null when it is empty
   * @throws {ApiError | NetworkError}
   */
  async call(method, path, data, timeout = TIMEOUT_MS) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json' };
    if (method !== 'GET') headers['X-CSRFToken'] = this.csrf();
    if (data) headers['Content-Type'] = 'application/json';
    let response;
    let text;
    try {
      response = await this.fetch(`/api${path}`, {
        method, headers, credentials: 'same-origin', redirect: 'error',
        body: data ? JSON.stringify(data) : null, signal: AbortSignal.timeout(timeout),
      });
      text = await response.text();
    } catch {
      throw new NetworkError();
    }
    if (!response.ok) throw refusal(response.status, text, response.headers.get('Retry-After'));
    return text ? JSON.parse(text) : null;
  }

  /** As `call`, for what takes its time. @param {string} method @param {string} path @param {object} [data] */
  slowly(method, path, data) {
    return this.call(method, path, data, LONG_TIMEOUT_MS);
  }

  /**
   * Sends bytes and tells how many have gone: fetch cannot.
   * @param {string} path
   * @param {Blob} part
   * @param {(bytes: number) => void} sent
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   * @throws {ApiError | NetworkError}
   */
  put(path, part, sent, signal) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('PUT', `/api${path}`);
      request.setRequestHeader('X-CSRFToken', this.csrf());
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      request.timeout = LONG_TIMEOUT_MS;
      request.upload.onprogress = (event) => sent(event.loaded);
      request.onload = () => {
        if (request.status < 300) resolve();
        else reject(refusal(request.status, request.responseText, request.getResponseHeader('Retry-After')));
      };
      request.onerror = request.ontimeout = request.onabort = () => reject(new NetworkError());
      signal.addEventListener('abort', () => request.abort());
      request.send(part);
    });
  }
}

/** @param {number} status @param {string} text @param {string | null} retryAfter */
function refusal(status, text, retryAfter) {
  let document = {};
  try {
    document = JSON.parse(text).error ?? {};
  } catch {
    // A proxy's page instead of our document: the status has to do.
  }
  return new ApiError(status, document, Number(retryAfter) || 0);
}

/** @param {number | undefined} before @param {number} limit @param {{after?: number, thread?: string}} more */
export function messagesQuery(before, limit, { after, thread } = {}) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (before !== undefined) query.set('before', String(before));
  if (after !== undefined) query.set('after', String(after));
  if (thread) query.set('thread', thread);
  return query.toString();
}
