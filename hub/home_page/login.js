// @ts-check
// Log-in: a number and the code that comes to it, or today's token. And where to go without a telephone of this kind.
import { latin } from "/ui/lib/digits.js";
import { html, useSignal } from "/ui/lib/dom.js";
import { ApiError, post } from "/ui/lib/http.js";
import { clockTime, day, language, t } from "/ui/lib/l10n.js";
import { TextField } from "/ui/lib/parts.js";
import { errorText } from "/ui/lib/errors.js";
import { Centres } from "./centres.js";
import { API, enter, go, opening } from "./store.js";

/** 108 before everything else: nobody has to log in for it. */
export function Emergency() {
  return html`<section class="card red-card stack tight" aria-label=${t("home-emergency")}>
    <p class="lead">${t("home-emergency-when")}</p>
    <a class="button danger-link wide" href="tel:108" data-test="call-108">${t("home-call-108")}</a></section>`;
}

/** Whether doctors sit now, or when they do. */
export function Hours() {
  const now = opening.value;
  if (!now) return null;
  if (now.open) return html`<p class="notice good" data-test="hours" data-open="true">${t("home-open")}</p>`;
  const when = now.opens_ms ? t("home-opens", { when: `${day(now.opens_ms)} ${clockTime(now.opens_ms)}` }) : "";
  return html`<p class="notice warn" data-test="hours" data-open="false">${t("home-closed")} ${when}</p>`;
}

/** Whether this is a mobile number as people write it (hub/home/codes.py); those with 5550 ring nowhere. @param {string} text */
const isMobile = (text) => /^(\+91|0091|91|0)?([6-9]\d{9}|5550\d{6})$/.test(text.replace(/[\s().-]/g, ""));

export function LoginPage() {
  const mobile = useSignal("");
  const proof = useSignal("");
  const sent = useSignal(/** @type {import("./store.js").CodeAsked | null} */ (null));
  const byToken = useSignal(false);
  const wrong = useSignal("");
  const badNumber = useSignal(false);
  const busy = useSignal(false);
  const work = (/** @type {() => Promise<void>} */ act) => async (/** @type {Event} */ event) => {
    event.preventDefault();
    wrong.value = "";
    badNumber.value = !isMobile(mobile.value);
    if (badNumber.value) return;
    busy.value = true;
    try {
      await act();
    } catch (error) {
      wrong.value = error instanceof ApiError && error.code === "wrong_pin" ? t("home-code-wrong") : errorText(error);
    } finally {
      busy.value = false;
    }
  };
  const ask = work(async () => {
    sent.value = await post(`${API}/code`, { mobile: mobile.value, language: language.value });
  });
  const prove = work(async () => {
    enter(await post(`${API}/login`, { mobile: mobile.value, proof: proof.value, language: language.value }));
    if (!location.hash.startsWith("#/visit/")) go("/");
  });
  const typing = sent.value !== null || byToken.value;
  const code = { digits: sent.value?.digits ?? 6, minutes: Math.max(1, Math.floor((sent.value?.good_s ?? 300) / 60)) };
  return html`<div class="narrow stack" data-test="home-login">
    <h1>${t("home-welcome")}</h1><${Hours} /><${Emergency} />
    <form class="card stack" onSubmit=${typing ? prove : ask}>
      <${TextField} id="mobile" test="home-mobile" label=${t("home-mobile")} type="tel" inputmode="tel" autocomplete="tel-national" maxlength=${16}
        value=${mobile.value} required onValue=${(/** @type {string} */ text) => (mobile.value = latin(text))} wrong=${badNumber.value ? t("home-mobile-wrong") : typing ? "" : wrong.value} />
      ${typing ? html`<${TextField} id="proof" test="home-proof" label=${t(byToken.value ? "home-token-label" : "home-code-label")} focus
          hint=${byToken.value ? t("home-token-hint") : t("home-code-hint", code)} inputmode=${byToken.value ? "text" : "numeric"}
          autocomplete=${byToken.value ? "off" : "one-time-code"} maxlength=${30} value=${proof.value} required wrong=${wrong.value}
          onValue=${(/** @type {string} */ text) => (proof.value = latin(text))} />` : null}
      ${sent.value && !sent.value.sent && !byToken.value ? html`<p class="notice warn" role="status" data-test="home-code-before">${t("home-code-before")}</p>` : null}
      <button class="primary wide big" data-test=${typing ? "home-enter" : "home-ask"} disabled=${busy.value || !mobile.value || (typing && proof.value.trim().length < 6)}
        aria-busy=${busy.value ? "true" : "false"}>${t(typing ? "login" : "home-send-code")}</button>
      ${sent.value ? html`<button type="button" class="quiet" data-test="home-again" disabled=${busy.value} onClick=${ask}>${t("home-code-again")}</button>` : null}
      <button type="button" class="quiet" data-test="home-by-token" onClick=${() => {
        byToken.value = !byToken.value;
        proof.value = "";
        wrong.value = "";
      }}>${t(byToken.value ? "home-by-code" : "home-by-token")}</button>
      ${opening.value?.demo ? html`<p class="soft small" data-test="home-demo">${t("home-demo")}</p>` : null}
    </form>
    <${Centres} /><a class="button quiet wide" href="#/check" data-test="home-check">${t("home-check")}</a></div>`;
}
