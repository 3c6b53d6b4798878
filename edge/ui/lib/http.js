// @ts-check
// Requests to our own server: the session's CSRF token, typed refusals, one error class.
import { signal } from "./dom.js";
import { untouchedS } from "./hands.js";

/** @typedef {{code: string, message: string, field?: string, fault?: string}} Refusal */

/** A refusal by the server, or the lack of any answer (`code` "unreachable", status 0). */
export class ApiError extends Error {
  /** @param {number} status @param {Refusal} refusal @param {unknown} body */
  constructor(status, refusal, body) {
    super(refusal.message);
    this.status = status;
    this.code = refusal.code;
    this.field = refusal.field ?? "";
    this.body = body;
  }
  get unreachable() {
    return this.status === 0;
  }
}

/** Set after log-in; echoed on everything that is not a GET. */
let csrf = "";
/** @param {string} token */
export function setCsrf(token) {
  csrf = token;
}

/** False while our own server does not answer. */
export const reachable = signal(true);
/** Called when the server says that nobody is logged in (401) or that the node is locked (423). */
export const signedOut = signal(0);

/**
 * @param {string} method @param {string} path @param {unknown} [body] a Blob goes as it is, everything else as JSON
 * @param {{timeout_ms?: number, headers?: Record<string, string>, sound?: boolean}} [options] `sound`: the reply is a Blob
 * @returns {Promise<any>} the decoded reply, null when it has no body
 */
export async function api(method, path, body, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-Untouched": String(untouchedS()), ...options.headers };
  if (method !== "GET") headers["X-CSRF"] = csrf;
  const raw = body instanceof Blob;
  if (body !== undefined) headers["Content-Type"] = raw ? "application/octet-stream" : "application/json";
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), options.timeout_ms ?? 10_000);
  let reply;
  let text;
  try {
    reply = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
      credentials: "same-origin",
      cache: method === "GET" ? "no-cache" : "no-store",
      signal: stop.signal,
    });
    if (options.sound && reply.ok) return await reply.blob();
    text = await reply.text();
  } catch {
    reachable.value = false;
    throw new ApiError(0, { code: "unreachable", message: "the server does not answer" }, null);
  } finally {
    clearTimeout(timer);
  }
  reachable.value = true;
  let data = null;
  if (text) {
    try {
      data = JSON.parse(text);
    } catch {
      data = null;
    }
  }
  if (reply.ok) return data;
  const refusal = data && typeof data.code === "string" ? data : { code: `http_${reply.status}`, message: reply.statusText };
  // a password or PIN that was typed again and is wrong ends no session
  if ((reply.status === 401 || reply.status === 423) && refusal.code !== "wrong_pin" && !path.endsWith("/session") && !path.endsWith("/unlock") && !path.endsWith("/login")) {
    signedOut.value += 1;
  }
  throw new ApiError(reply.status, refusal, data);
}

/** @param {string} path */
export const get = (path) => api("GET", path);
/** @param {string} path @param {unknown} [body] */
export const post = (path, body = {}) => api("POST", path, body);
/** @param {string} path @param {unknown} body */
export const put = (path, body) => api("PUT", path, body);
/** @param {string} path */
export const del = (path) => api("DELETE", path);
