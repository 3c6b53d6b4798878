// @ts-check
// Consent to the teleconsultation and to the keeping of data: two questions, read out word by word.
import { html, useEffect } from "/ui/lib/dom.js";
import { pick, t } from "/ui/lib/l10n.js";
import { Choice, Icon, TextField } from "/ui/lib/parts.js";
import { isMinor } from "/ui/lib/ages.js";
import { list } from "/ui/lib/reference.js";
import { canPlay, loadPrompts, playPrompt, playing, promptOf, stopPrompt } from "../prompts.js";

/** @param {{form: import("/ui/lib/visit_form.js").VisitForm, change: (part: any) => void, record: any, faults: Record<string, string>}} props */
export function ConsentStep({ form, change, record, faults }) {
  useEffect(() => {
    void loadPrompts().catch(() => {});
    return stopPrompt;
  }, []);
  const guardian = (/** @type {any} */ part) => change({ guardian: { ...form.guardian, ...part } });
  const question = (/** @type {string} */ purpose, /** @type {"tele"|"data"} */ field) => {
    const statement = list("consent_statements").find((one) => one.purpose === purpose);
    const prompt = statement?.version ?? "";
    return html`<section class="card stack" aria-label=${t(`consent-${field}`)}>
      <div class="row between nowrap"><h2 class="grow">${t(`consent-${field}`)}</h2>
        ${canPlay(prompt) ? html`<button type="button" class="quiet" data-test=${`play-${field}`} aria-pressed=${playing.value === prompt ? "true" : "false"}
          onClick=${() => void playPrompt(prompt, statement?.hi ?? "")}><${Icon} name="speaker" /> ${playing.value === prompt ? t("stop-reading") : t("read-aloud")}</button>` : null}</div>
      <p class="statement">${pick(statement)}</p>
      ${promptOf(prompt)?.synthetic ? html`<p class="soft small" data-test="voice-synthetic">${t("voice-synthetic")}</p>` : null}
      <${Choice} name=${`consent-${field}`} legend=${t(`consent-${field}`)} quiet value=${form[field]} wrong=${faults[field]}
        onValue=${(/** @type {boolean} */ value) => change({ [field]: value })}
        options=${[{ value: true, label: t("i-agree"), test: `consent-${field}-yes` }, { value: false, label: t("i-disagree"), test: `consent-${field}-no` }]} />
      ${form[field] === false ? html`<p class="notice warn">${t(`consent-${field}-refused`)}</p>` : null}
    </section>`;
  };
  return html`
    ${isMinor(record.patient) ? html`<section class="card form-grid" aria-label=${t("guardian")}>
      <h2 class="span-2">${t("guardian")}</h2><p class="soft span-2">${t("guardian-why")}</p>
      <${TextField} id="guardian-name" test="guardian-name" label=${t("guardian-name")} required value=${form.guardian.name} wrong=${faults.guardian}
        maxlength=${80} onValue=${(/** @type {string} */ name) => guardian({ name })} />
      <${TextField} id="guardian-relation" test="guardian-relation" label=${t("guardian-relation")} required value=${form.guardian.relation}
        wrong=${faults.relation} maxlength=${60} onValue=${(/** @type {string} */ relation) => guardian({ relation })} />
      <label class="check span-2"><input type="checkbox" data-test="guardian-id" checked=${form.guardian.id_seen}
        onChange=${(/** @type {any} */ event) => guardian({ id_seen: event.currentTarget.checked })} />${t("guardian-id")}</label>
    </section>` : null}
    <div class="consents">${question("teleconsultation", "tele")}${question("data", "data")}</div>
    <section class="card"><${Choice} name="consent-method" legend=${t("consent-method")} value=${form.method}
      onValue=${(/** @type {string} */ method) => change({ method })}
      options=${["spoken", "tick", "thumb"].map((value) => ({ value, label: t(`method-${value}`) }))} /></section>`;
}
