// @ts-check
// One's own log-in: another password and authenticator that nobody else has seen, and recovery codes. Whoever was
// given a log-in sees this page only, until both are replaced.
import { digitsIn } from "/ui/lib/digits.js";
import { html, useSignal } from "/ui/lib/dom.js";
import { post, put } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { Icon, TextField } from "/ui/lib/parts.js";
import { Qr } from "./office.js";
import { codesLeft, errorText, given } from "./store.js";

/** @typedef {{secret: string, uri: string, qr: string[], ticket: string}} Drawn */
const CODES_FEW = 3;

export function OwnLogin() {
  const old = useSignal("");
  const drawn = useSignal(/** @type {Drawn|null} */ (null));
  const fresh = useSignal("");
  const again = useSignal("");
  const code = useSignal("");
  const codes = useSignal(/** @type {string[]} */ ([]));
  const wrong = useSignal("");
  const busy = useSignal(false);
  const act = async (/** @type {Event} */ event, /** @type {() => Promise<void>} */ what) => {
    event.preventDefault();
    busy.value = true;
    wrong.value = "";
    try {
      await what();
    } catch (error) {
      wrong.value = errorText(error);
    } finally {
      busy.value = false;
    }
  };
  const draw = async () => {
    drawn.value = await post("/api/own/authenticator", { password: old.value });
  };
  const renew = async () => {
    if (fresh.value !== again.value) {
      wrong.value = t("own-not-alike");
      return;
    }
    const reply = await put("/api/own/login", { password: old.value, new_password: fresh.value, ticket: drawn.value?.ticket ?? "", code: code.value });
    codes.value = reply.codes;
    codesLeft.value = reply.codes.length;
    old.value = fresh.value = again.value = code.value = "";
    drawn.value = null;
  };
  const field = (/** @type {string} */ name, /** @type {import("/ui/vendor/signals.js").Signal<string>} */ to, /** @type {string} */ complete, hint = "") => html`<${TextField} id=${name} test=${name} label=${t(name)} hint=${hint} type="password"
    autocomplete=${complete} value=${to.value} onValue=${(/** @type {string} */ text) => (to.value = text)} />`;
  const trouble = wrong.value ? html`<p class="notice bad" role="alert" data-test="own-wrong">${wrong.value}</p>` : null;
  if (codes.value.length > 0) {
    return html`<section class="card stack login" data-test="own-codes"><h1 id="record-title" tabindex="-1">${t("own-codes")}</h1>
      <p>${t("own-codes-says")}</p><ul class="codes num">${codes.value.map((one) => html`<li key=${one} data-test="own-code">${one}</li>`)}</ul>
      <div class="row print-hide"><button type="button" data-test="own-print" onClick=${() => window.print()}><${Icon} name="printer" /> ${t("own-print")}</button>
        <button type="button" class="primary grow" data-test="own-done" onClick=${() => {
          codes.value = [];
          given.value = false;
          location.hash = "/";
        }}>${t("own-done")}</button></div></section>`;
  }
  if (!drawn.value) {
    return html`<form class="card stack login" data-test="own-login" onSubmit=${(/** @type {Event} */ event) => void act(event, draw)}>
      <h1 id="record-title" tabindex="-1">${t("own-login")}</h1><p>${t(given.value ? "own-given-says" : "own-says")}</p>
      ${given.value ? null : html`<p class=${codesLeft.value < CODES_FEW ? "notice warn" : "soft"} data-test="own-left">${t("own-left", { n: codesLeft.value })}</p>`}
      ${field("own-old", old, "current-password")}${trouble}
      <button class="primary" data-test="own-begin" disabled=${!old.value || busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("own-begin")}</button></form>`;
  }
  const { qr, secret } = drawn.value;
  return html`<form class="card stack login" data-test="own-renew" onSubmit=${(/** @type {Event} */ event) => void act(event, renew)}>
    <h1 id="record-title" tabindex="-1">${t("own-login")}</h1>
    ${field("own-new", fresh, "new-password", t("own-new-hint"))}${field("own-again", again, "new-password")}
    <p>${t("own-scan")}</p><${Qr} rows=${qr} label=${t("secrets-qr")} />
    <details><summary>${t("own-by-hand")}</summary><p class="num" data-test="own-secret">${secret.match(/.{1,4}/g)?.join(" ")}</p></details>
    <${TextField} id="own-code-field" test="own-code-field" label=${t("own-code")} inputmode="numeric" autocomplete="one-time-code" maxlength=${8} value=${code.value} onValue=${(/** @type {string} */ text) => (code.value = digitsIn(text))} />
    ${trouble}<div class="row"><button type="button" data-test="own-back" onClick=${() => (drawn.value = null)}>${t("back")}</button>
      <button class="primary grow" data-test="own-save" disabled=${!fresh.value || !again.value || code.value.length < 6 || busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("save")}</button></div></form>`;
}
