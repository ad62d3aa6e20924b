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
   * @returns {Promise<any>} the parsed answer, null when it is empty
   * @throws {ApiError | NetworkError}
   */
  async call(method, path, data) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json' };
    if (method !== 'GET') headers['X-CSRFToken'] = this.csrf();
    if (data) headers['Content-Type'] = 'application/json';
    let response;
    let text;
    try {
      response = await this.fetch(`/api${path}`, {
        method, headers, credentials: 'same-origin', redirect: 'error',
        body: data ? JSON.stringify(data) : null, signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      text = await response.text();
    } catch {
      throw new NetworkError();
    }
    if (!response.ok) throw failure(response, text);
    return text ? JSON.parse(text) : null;
  }
}

/**
 * @param {Response} response
 * @param {string} text
 */
function failure(response, text) {
  let document = {};
  try {
    document = JSON.parse(text).error ?? {};
  } catch {
    // A proxy's page instead of our document: the status has to do.
  }
  return new ApiError(response.status, document, Number(response.headers.get('Retry-After')) || 0);
}

/** @param {number | undefined} before @param {number} limit @param {{after?: number, thread?: string}} more */
export function messagesQuery(before, limit, { after, thread } = {}) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (before !== undefined) query.set('before', String(before));
  if (after !== undefined) query.set('after', String(after));
  if (thread) query.set('thread', thread);
  return query.toString();
}
