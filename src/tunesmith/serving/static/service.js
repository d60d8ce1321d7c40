// Requests to the server that the page came from. Addresses are relative, so a path before them (a reverse proxy) is kept.

const KEY = "tunesmith.key";
const PATIENCE_MS = 120_000;

/** What went wrong with a request. */
export class ServiceError extends Error {
  /**
   * @param {"gone"|"key"|"busy"|"refused"|"broken"|"stopped"|"cut"} kind
   * @param {{message?: string, fix?: string, field?: string, status?: number, wait_s?: number}} facts
   */
  constructor(kind, facts = {}) {
    super(facts.message ?? kind);
    this.kind = kind;
    this.message = facts.message ?? "";
    this.fix = facts.fix ?? "";
    this.field = facts.field ?? "";
    this.status = facts.status ?? 0;
    this.wait_s = facts.wait_s ?? null;
  }
}

let askForKey = async () => null;

/** Say how a key is asked for: a function of whether one was refused, which gives a key or null. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

export function listModels() {
  return request("v1/models");
}

/**
 * Answers for rows.
 * @param {string} model
 * @param {Object[]} rows
 * @param {AbortSignal} signal
 * @returns {Promise<Object[]>} one answer a row, in their order
 */
export function predict(model, rows, signal) {
  return request(`v1/models/${encodeURIComponent(model)}/predict`, { body: rows, signal });
}

/**
 * The next turn of a conversation, as a stream of server-sent events.
 * @param {Object} body as `POST v1/chat/completions` takes it
 * @param {AbortSignal} signal stops it; nothing else does, since an answer may take its time
 * @returns {Promise<ReadableStream<Uint8Array>>}
 */
export function converse(body, signal) {
  return request("v1/chat/completions", { body, signal, isStream: true });
}

export function sendFeedback(feedback) {
  return request("v1/feedback", { body: feedback });
}

/**
 * Send a request; where the server wants a key, ask for it and send it again.
 * @throws {ServiceError}
 */
async function request(path, { body, signal, isStream = false } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const response = await send(path, key, body, isStream ? signal : withPatience(signal));
    if (response.ok && isStream) return response.body;
    if (response.status !== 401) return read(response);
    const given = sessionStorage.getItem(KEY) === key ? await askForKey(key !== null) : sessionStorage.getItem(KEY);
    if (given === null) throw new ServiceError("key", { status: 401 });
    sessionStorage.setItem(KEY, given);
  }
}

/** A signal that also stops what takes too long. */
function withPatience(signal) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  return signal ? AbortSignal.any([signal, patience]) : patience;
}

async function send(path, key, body, signal) {
  const headers = { Accept: "application/json" };
  if (key !== null) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
    });
  } catch {
    throw new ServiceError(signal.aborted && signal.reason?.name !== "TimeoutError" ? "stopped" : "gone");
  }
}

async function read(response) {
  if (response.ok) {
    try {
      return await response.json();
    } catch {
      throw new ServiceError("gone");
    }
  }
  const facts = { status: response.status, ...(await readError(response)) };
  if (response.status === 429 || response.status === 503) {
    throw new ServiceError("busy", { ...facts, wait_s: waitOf(response) });
  }
  if (response.status === 502 || response.status === 504) throw new ServiceError("gone", facts); // a proxy before it
  throw new ServiceError(response.status < 500 ? "refused" : "broken", facts);
}

async function readError(response) {
  try {
    const { error } = await response.json();
    return { message: String(error.message ?? ""), fix: String(error.fix ?? ""), field: String(error.field ?? error.param ?? "") };
  } catch {
    return {};
  }
}

/** Seconds that `Retry-After` asks for: a number or a date; 2 where it says nothing usable. */
function waitOf(response) {
  const given = response.headers.get("Retry-After") ?? "";
  const seconds = /^\d+$/.test(given) ? Number(given) : (Date.parse(given) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(600, Math.max(1, Math.ceil(seconds))) : 2;
}
