// @ts-check
// Neither a badge nor this tablet's key at hand: the hub is asked, a person there decides. Says how it stands.
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { del, get, post } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { errorText } from "../commands.js";

/** @typedef {{state: "no"|"sent"|"waiting"|"refused"|"opened"|"failed", since_s: number, possible: boolean, online: boolean}} Asking */

const LOOK_EVERY_MS = 2000;
const now = signal(/** @type {Asking|null} */ (null));
const wrong = signal("");

/** @param {{onDone: () => Promise<void>}} props */
export function AskHub({ onDone }) {
  const look = async () => {
    try {
      now.value = await get("/api/hub-unlock");
      if (now.value?.state === "opened") await onDone();
    } catch {
      // the header says when the box does not answer
    }
  };
  useEffect(() => {
    void look();
    const timer = setInterval(() => void look(), LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  /** @param {() => Promise<any>} work */
  const trying = async (work) => {
    wrong.value = "";
    try {
      await work();
    } catch (error) {
      wrong.value = errorText(error);
    }
    await look();
  };
  const asking = now.value;
  if (!asking?.possible) return null;
  const waits = asking.state === "sent" || asking.state === "waiting";
  return html`<section class="card stack tight" data-test="ask-hub" data-state=${asking.state}>
    <h2>${t("ask-title")}</h2>
    <p class="soft">${t("ask-hint")}</p>
    ${asking.state === "no" ? null : html`<p class=${`notice ${waits ? "warn" : asking.state === "opened" ? "good" : "bad"}`} role="status" data-test="ask-state">${t(`ask-${asking.state}`)}</p>`}
    ${asking.online ? null : html`<p class="notice warn" role="status">${t("ask-offline")}</p>`}
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    ${waits
      ? html`<button type="button" data-test="ask-stop" onClick=${() => void trying(() => del("/api/hub-unlock"))}>${t("ask-stop")}</button>`
      : html`<button type="button" data-test="ask-go" onClick=${() => void trying(() => post("/api/hub-unlock"))}>${t("ask-go")}</button>`}
  </section>`;
}
