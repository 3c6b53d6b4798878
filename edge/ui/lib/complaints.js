// @ts-check
// What hurts and since when: big pictures and words, up to five.
import { afterPicture } from "./answer.js";
import { digitsIn } from "./digits.js";
import { html, useSignal } from "./dom.js";
import { pick, t } from "./l10n.js";
import { Choice, Icon } from "./parts.js";
import { item, list } from "./reference.js";
import { GuidedQuestions } from "./guided.js";

const MOST = 5;
/** A drawing beside the word, for those who read slowly. @type {Record<string, string>} */
const DRAWINGS = {
  fever: "heat", cough: "chest", cold: "nose", sore_throat: "throat", breathless: "chest", chest_pain: "heart",
  headache: "head", body_ache: "body", weakness: "tired", dizzy: "spin", abdo_pain: "belly", acidity: "belly",
  vomiting: "belly", loose_motion: "belly", blood_stool: "drop", constipation: "belly", urine_burn: "drop",
  white_discharge: "woman", period_pain: "woman", itching: "skin", ringworm: "skin", scabies: "skin", boil: "skin",
  wound: "wound", animal_bite: "bite", snake_bite: "snake", eye_red: "eye", ear_pain: "ear", tooth: "tooth",
  back_pain: "back", joint_pain: "leg", swelling: "leg", fits: "bolt", bp_check: "cuff", sugar_check: "sugar",
  pregnancy: "woman", child_feed: "baby", mental: "mind",
};

/** @param {{form: import("./visit_form.js").VisitForm, change: (part: import("./visit_form.js").Change) => void, faults: Record<string, string>}} props */
export function ComplaintStep({ form, change, faults }) {
  const filter = useSignal("");
  // The touch is answered before what belongs to the complaint is built; each sees what those before it chose.
  const toggle = (/** @type {string} */ code) => afterPicture(() => change(({ complaints }) => {
    if (complaints.some((one) => one.code === code)) return { complaints: complaints.filter((one) => one.code !== code) };
    return complaints.length < MOST ? { complaints: [...complaints, { code, text: "", duration: "", unit: "day" }] } : {};
  }));
  const edit = (/** @type {string} */ code, /** @type {any} */ part) =>
    change({ complaints: form.complaints.map((one) => (one.code === code ? { ...one, ...part } : one)) });
  const wanted = filter.value.trim().toLowerCase();
  const shown = list("complaints").filter((one) => !wanted || `${one.hi} ${one.en}`.toLowerCase().includes(wanted));
  return html`
    ${form.complaints.length > 0 ? html`<section class="card stack" aria-label=${t("chosen-complaints")}>
      ${form.complaints.map((one) => {
        const name = one.code === "other" ? t("complaint-other") : pick(item("complaints", one.code), one.code);
        return html`<div class="chosen" key=${one.code} data-test=${`chosen-${one.code}`}>
          <div class="row between"><strong class="grow">${name}</strong>
            <button type="button" class="quiet" onClick=${() => toggle(one.code)} aria-label=${t("remove-named", { name })}><${Icon} name="cross" /></button></div>
          ${one.code === "other" ? html`<label class="visually-hidden" for="other-text">${t("complaint-other")}</label>
            <input id="other-text" data-test="complaint-other-text" maxlength="200" value=${one.text}
              onInput=${(/** @type {any} */ event) => edit(one.code, { text: event.currentTarget.value })} />` : null}
          <div class="row duration">
            <label for=${`since-${one.code}`}>${t("since-when")}</label>
            <input id=${`since-${one.code}`} class="short num" data-test=${`duration-${one.code}`} inputmode="numeric" maxlength="3" value=${one.duration}
              onInput=${(/** @type {any} */ event) => edit(one.code, { duration: digitsIn(event.currentTarget.value) })} />
            <${Choice} name=${`unit-${one.code}`} quiet legend=${t("duration-unit")} value=${one.unit}
              onValue=${(/** @type {string} */ unit) => edit(one.code, { unit })}
              options=${["hour", "day", "week", "month"].map((value) => ({ value, label: t(`ago-${value}`) }))} />
          </div>
          <${GuidedQuestions} complaint=${one.code} answers=${form.guided ?? {}} onAnswer=${(/** @type {string} */ key, /** @type {string} */ value) => change({ guided: { ...form.guided, [key]: value } })} /></div>`;
      })}
    </section>` : null}
    ${faults.complaints ? html`<p class="notice bad" role="alert">${faults.complaints}</p>` : null}
    <section class="card stack" aria-label=${t("what-problem")}>
      <div class="row between"><h2>${t("what-problem")}</h2>
        <div class="field grow"><label class="visually-hidden" for="complaint-search">${t("search")}</label>
          <input id="complaint-search" type="search" data-test="complaint-search" placeholder=${t("search")} value=${filter.value}
            onInput=${(/** @type {any} */ event) => (filter.value = event.currentTarget.value)} /></div></div>
      <div class="tiles">
        ${[...shown, { id: "other", hi: "", en: "" }].map((one) => html`<button type="button" key=${one.id} class="choice tile" data-test=${`complaint-${one.id}`}
            aria-pressed=${form.complaints.some((chosen) => chosen.code === one.id) ? "true" : "false"}
            disabled=${form.complaints.length >= MOST && !form.complaints.some((chosen) => chosen.code === one.id)}
            onClick=${() => toggle(one.id ?? "")}>
            <${Icon} name=${DRAWINGS[one.id ?? ""] ?? "other"} />
            <span>${one.id === "other" ? t("complaint-other") : pick(one)}</span></button>`)}
      </div>
    </section>
    <section class="card"><div class="field"><label for="complaint-notes">${t("complaint-notes")}</label>
      <textarea id="complaint-notes" data-test="complaint-notes" maxlength="2000" value=${form.complaint_notes}
        onInput=${(/** @type {any} */ event) => change({ complaint_notes: event.currentTarget.value })}></textarea></div></section>`;
}
