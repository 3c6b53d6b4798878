// @ts-check
// The family on one number: who they are, what goes on for each, somebody new, the nearest sub-centre.
import { digitsIn } from "/ui/lib/digits.js";
import { html, useSignal } from "/ui/lib/dom.js";
import { put } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { ageWords } from "/ui/lib/ages.js";
import { day, language, t } from "/ui/lib/l10n.js";
import { Choice, ColourBadge, Icon, showWrong, TextField, toast } from "/ui/lib/parts.js";
import { EMPTY, faults, personOf } from "/ui/lib/person.js";
import { errorText } from "/ui/lib/errors.js";
import { Centres } from "./centres.js";
import { Emergency, Hours } from "./login.js";
import { API, OPEN, enter, family, go, loadFamily, submit } from "./store.js";

export function FamilyPage() {
  const now = family.value;
  const busy = useSignal("");
  if (!now) return null;
  const begin = async (/** @type {string} */ patient_id, follow_up_of = "") => {
    busy.value = patient_id;
    const visit_id = newId();
    const done = await submit({ type: "open_visit", visit_id, patient_id, follow_up_of });
    busy.value = "";
    if (done.ok) go(`/visit/${visit_id}`);
    else toast("bad", errorText(done.error));
  };
  return html`<div class="page stack" data-test="home-family"><h1>${t("home-who")}</h1><${Hours} />
    ${now.people.map((one) => {
      const visits = now.visits.filter((visit) => visit.patient_id === one.patient_id);
      const open = visits.find((visit) => OPEN.includes(visit.state));
      const past = visits.filter((visit) => visit !== open && visit.answered);
      return html`<section class="card stack tight" key=${one.patient_id} data-test="home-person" aria-label=${one.person.name}>
        <div class="row between"><h2 class="grow">${one.person.name}</h2>${open ? html`<${ColourBadge} colour=${open.colour} />` : null}</div>
        <p class="soft">${[ageWords(one), t(`gender-${one.person.gender}`), one.person.village].filter(Boolean).join(" · ")}</p>
        ${open ? html`<a class="button primary wide" href=${`#/visit/${open.visit_id}`} data-test="home-go-on">${open.answered ? t("home-see-answer") : open.token ? t("home-to-waiting", { token: open.token }) : t("home-go-on")}</a>`
          : html`<button type="button" class="primary wide" data-test="home-new-visit" disabled=${busy.value !== ""} aria-busy=${busy.value === one.patient_id ? "true" : "false"}
            onClick=${() => void begin(one.patient_id)}><${Icon} name="plus" /> ${t("home-new-visit")}</button>
            ${past.length > 0 ? html`<button type="button" class="wide" data-test="home-follow" disabled=${busy.value !== ""} onClick=${() => void begin(one.patient_id, past[0].visit_id)}>${t("home-same", { date: day(past[0].opened_ms) })}</button>` : null}`}
        ${past.length > 0 ? html`<ul class="stack tight">${past.map((visit) => html`<li key=${visit.visit_id}><a class="button quiet wide" href=${`#/visit/${visit.visit_id}`} data-test="home-past">${t("home-past", { date: day(visit.opened_ms) })}</a></li>`)}</ul>` : null}
      </section>`;
    })}
    <a class=${now.people.length === 0 ? "button primary wide" : "button wide"} href="#/person" data-test="home-add">${t(now.people.length === 0 ? "home-add-first" : "home-add")}</a>
    <${Nearest} /><${Emergency} />
    <a class="button quiet wide" href="#/check" data-test="home-check">${t("home-check")}</a></div>`;
}

/** The sub-centre that is nearest: it gives the district, and is where to go when a telephone is not enough. */
function Nearest() {
  const now = family.value;
  const changing = useSignal(false);
  if (!now) return null;
  const choose = async (/** @type {string} */ centre) => {
    try {
      enter(await put(`${API}/choice`, { centre, language: language.value }));
      changing.value = false;
      toast("good", t("home-centre-kept"));
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  return html`<section class="card stack tight" aria-label=${t("home-centre")}><h2>${t("home-centre")}</h2>
    ${now.centre_name ? html`<p class="lead" data-test="home-centre">${now.centre_name}</p>` : null}
    <p class="hint">${t("home-centre-why")}</p>
    <button type="button" class="wide" data-test="home-centre-change" aria-expanded=${changing.value ? "true" : "false"}
      onClick=${() => (changing.value = !changing.value)}>${t(now.centre ? "home-centre-other" : "home-centre-open")}</button></section>
    ${changing.value ? html`<${Centres} chosen=${now.centre} onChoose=${choose} />` : null}`;
}

export function PersonPage() {
  const form = useSignal({ ...EMPTY });
  const bad = useSignal(/** @type {Record<string, string>} */ ({}));
  const busy = useSignal(false);
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => (form.value = { ...form.value, [field]: value });
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    bad.value = faults(form.value);
    if (Object.keys(bad.value).length > 0) return showWrong();
    busy.value = true;
    const done = await submit({ type: "register_patient", patient_id: newId(), person: { ...personOf(form.value), language: language.value } });
    busy.value = false;
    if (!done.ok) {
      toast("bad", errorText(done.error));
      return;
    }
    await loadFamily().catch(() => {});
    go("/");
  };
  return html`<form class="page stack" onSubmit=${save} data-test="home-person-form"><h1>${t("home-add")}</h1>
    <div class="card stack">
      <${TextField} id="name" test="home-name" label=${t("name")} required maxlength=${80} value=${form.value.name} wrong=${bad.value.name} onValue=${set("name")} focus />
      <${Choice} name="home-gender" legend=${t("gender")} value=${form.value.gender} wrong=${bad.value.gender} onValue=${set("gender")}
        options=${["female", "male", "other"].map((value) => ({ value, label: t(`gender-${value}`) }))} />
      <div class="age-row"><${TextField} id="age" test="home-age" label=${t("age")} inputmode="numeric" maxlength=${3} value=${form.value.age} wrong=${bad.value.age}
          onValue=${(/** @type {string} */ text) => set("age")(digitsIn(text))} />
        <${Choice} name="home-age-unit" quiet legend=${t("age-unit")} value=${form.value.unit} onValue=${set("unit")}
          options=${["years", "months", "days"].map((value) => ({ value, label: t(`unit-${value}`) }))} /></div>
      <${TextField} id="village" test="home-village" label=${t("home-address")} required maxlength=${200} value=${form.value.village} wrong=${bad.value.village} onValue=${set("village")} />
      <${TextField} id="relative" test="home-relative" label=${t("relative-name")} maxlength=${200} value=${form.value.relative} onValue=${set("relative")} />
    </div>
    <button class="primary wide big" data-test="home-save-person" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("save")}</button>
    <a class="button quiet wide" href="#/">${t("back")}</a></form>`;
}
