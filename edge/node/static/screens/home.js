// @ts-check
// The queue, the search, and the way to a new patient.
import { afterPicture } from "/ui/lib/answer.js";
import { digitsIn } from "/ui/lib/digits.js";
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { clockTime, day, isoDay, span, t } from "/ui/lib/l10n.js";
import { ColourBadge, Icon, toast } from "/ui/lib/parts.js";
import { ageText } from "/ui/lib/ages.js";
import { errorText, submit } from "../commands.js";
import { listDrafts } from "../drafts.js";
import { go, goOn, heardOpening, loadRecord, nodeNow, openedVisit, queue, staffName, status } from "../store.js";
import { discardForm, offerVisitUndo } from "../undo.js";
import { EmergencyButton } from "./emergency.js";
import { PersonLine } from "./people.js";
import { Expected, SmsSign, SyncLine } from "./progress.js";
import { CallButton } from "./turn.js";

const query = signal("");
/** @type {import("/ui/vendor/signals.js").Signal<import("/ui/api").Patient[]|null>} */
const found = signal(null);
const begun = signal(/** @type {import("../drafts.js").Kept[]} */ ([]));
let searchTimer = 0;
let searchNumber = 0;

/** @param {string} text */
function search(text) {
  query.value = text;
  clearTimeout(searchTimer);
  if (!text.trim()) {
    found.value = null;
    return;
  }
  const number = ++searchNumber;
  searchTimer = window.setTimeout(async () => {
    try {
      const reply = await get(`/api/patients?q=${encodeURIComponent(text.trim())}&limit=20`);
      if (number === searchNumber) found.value = reply.items;
    } catch (error) {
      toast("bad", errorText(error));
    }
  }, 120);
}

/**
 * Open the first visit of a patient whose registration is on its way, and go to its first step without
 * waiting for either: the node takes both in their order. True when the node has opened it.
 * @param {import("/ui/api").Patient} patient
 */
export async function beginUnheard(patient) {
  const visitId = newId();
  const outcome = submit({ type: "open_visit", visit_id: visitId, patient_id: patient.patient_id });
  heardOpening({ visit: openedVisit(visitId, patient.patient_id), patient });
  goOn(`/visit/${visitId}/step/consent`);
  const heard = await outcome;
  if (heard.ok) {
    offerVisitUndo(visitId, patient.person.name);
    void loadRecord(visitId).catch(() => {});
  }
  else if ("error" in heard && heard.error.code !== "no_such_patient") toast("bad", errorText(heard.error));
  return heard.ok;
}

async function loadBegun() {
  try {
    begun.value = (await listDrafts()).filter((draft) => draft.key.startsWith("register-"));
  } catch {
    begun.value = [];
  }
}

export function Home() {
  useEffect(() => {
    void loadBegun();
  }, []);
  return html`<div class="home">
    <section class="stack" aria-label=${t("reception")}>
      <div class="row between"><h1>${t("reception")}</h1><${EmergencyButton} compact /></div>
      <div class="field">
        <label for="search">${t("search-patient")}</label>
        <input id="search" type="search" data-test="search" autocomplete="off" placeholder=${t("search-hint")} value=${query.value}
          onInput=${(/** @type {any} */ event) => search(event.currentTarget.value)} />
      </div>
      ${found.value ? html`<${Found} />` : null}
      <button type="button" class="primary big wide" data-test="new-patient" onClick=${() => go(`/register/${newId()}`)}><${Icon} name="plus" /> ${t("new-patient")}</button>
      ${begun.value.map((draft) => html`<${Begun} key=${draft.key} draft=${draft} />`)}
    </section>
    <section class="stack" aria-label=${t("queue")}>
      <div class="row between"><h2>${t("queue")}</h2><${CallButton} text=${t("call-next")} test="call-next" />
        <button type="button" class="quiet" data-test="closing-open" onClick=${() => go("/closing")}>${t("closing-title")}</button></div>
      <${Queue} />
      <div class="row"><button type="button" data-test="due-open" onClick=${() => go("/due")}>${t("to-due")}</button>
        <button type="button" data-test="stock-open" onClick=${() => go("/stock")}>${t("to-stock")}</button></div>
    </section>
  </div>`;
}

/** A registration that was not finished: what is in it and who wrote it when, for two of one name look alike. @param {{draft: import("../drafts.js").Kept}} props */
function Begun({ draft: { key, body, staff_id, saved_ms } }) {
  const name = body.name || t("no-name-yet");
  const said = [body.age && `${body.age} ${t(`unit-${body.unit || "years"}`)}`, body.gender && t(`gender-${body.gender}`), body.village, body.mobile, body.relative];
  const time = [isoDay(saved_ms) === isoDay(nodeNow()) ? "" : day(saved_ms), clockTime(saved_ms)].filter(Boolean).join(" ");
  const discard = () => {
    begun.value = begun.value.filter((one) => one.key !== key);
    void discardForm(key, body, () => void loadBegun()).then(loadBegun);
  };
  return html`<div class="row nowrap begun">
    <button type="button" class="grow" data-test="resume-draft" onClick=${() => go(`/register/${key.slice("register-".length)}`)}>
      <span class="stack tight">${t("resume-register", { name })}
        <span class="soft small num">${said.filter(Boolean).join(" · ")}</span>
        <span class="soft small num">${t("recorded-by", { name: staffName(staff_id) || "—", time })}</span></span></button>
    <button type="button" class="quiet" data-test="discard-draft" aria-label=${t("discard-form", { name })} onClick=${discard}><${Icon} name="cross" /></button>
  </div>`;
}

/** A phone number that somebody here has: its people, and the way to one more. @returns {import("/ui/api").Patient|undefined} */
const houseOf = () => found.value?.find((one) => digitsIn(query.value).endsWith(one.person.mobile) && one.person.mobile.length === 10);

function Found() {
  if (found.value?.length === 0) return html`<p class="notice" role="status" data-test="search-empty">${t("search-empty")}</p>`;
  const house = houseOf();
  const open = (/** @type {import("/ui/api").Patient} */ patient) => {
    go(`/patient/${patient.patient_id}`);
    afterPicture(() => {
      query.value = "";
      found.value = null;
    });
  };
  return html`${house ? html`<h2>${t("on-this-number")}</h2>` : null}
    <ul class="stack tight" data-test="search-results">
    ${(found.value ?? []).map(
      (patient) => html`<li key=${patient.patient_id}>
        <button type="button" class="patient-row" data-test="patient-row" onClick=${() => open(patient)}>
          <span class="grow person"><strong>${patient.person.name}</strong><${PersonLine} patient=${patient} />
            <span class="soft small num">${[patient.local_id, patient.person.mobile].filter(Boolean).join(" · ")}
              ${patient.last_visit_ms ? ` · ${t("last-visit", { date: day(patient.last_visit_ms) })}` : ""}</span></span>
          ${patient.open_visit_id ? html`<span class="here-mark num">${patient.open_token ? t("here-token", { token: patient.open_token }) : t("here-open")}</span>` : null}
        </button>
      </li>`,
    )}
  </ul>
  ${house ? html`<button type="button" class="wide" data-test="family-new" onClick=${() => go(`/register/${newId()}/with/${house.patient_id}`)}><${Icon} name="plus" /> ${t("family-new")}</button>` : null}`;
}

/** How long somebody waits; since which day, when it was an earlier one. @param {number} waitS */
function sinceWords(waitS) {
  const began = nodeNow() - waitS * 1000;
  return isoDay(began) === isoDay(nodeNow()) ? t("waits", { time: span(waitS) }) : t("waits-since", { date: day(began) });
}

function Queue() {
  if (queue.value === null) return html`<p role="status">${t("loading")}</p>`;
  if (queue.value.length === 0) return html`<p class="card soft empty" data-test="queue-empty">${t("queue-empty")}</p>`;
  const unknown = !status.value?.link.online && !status.value?.training && queue.value.some((one) => one.place > 0);
  return html`${unknown ? html`<p class="soft small" data-test="wait-unknown">${t("wait-unknown")}</p>` : null}
  <ol class="stack tight" data-test="queue">
    ${queue.value.map((item) => {
      const { colour } = item.visit;
      const unfinished = item.visit.state === "draft" || item.visit.state === "triaged";
      return html`<li key=${item.visit.visit_id}>
        <button type="button" class=${`queue-row ${colour}`} data-test="queue-row" data-visit=${item.visit.visit_id}
          onClick=${() => go(unfinished ? `/visit/${item.visit.visit_id}/step/consent` : `/visit/${item.visit.visit_id}`)}>
          <span class="token num">${item.visit.token || "—"}</span>
          <span class="grow person"><strong>${item.patient_name}</strong>
            <span class="soft">${[ageText(item.patient_age), item.patient_sex && t(`gender-${item.patient_sex}`)].filter(Boolean).join(" · ")}</span>
            <span class="soft small">${t(`state-${item.visit.state.replace("_", "-")}`)} · ${sinceWords(item.wait_s)}</span>
            ${item.visit.expected ? html`<${Expected} told=${item.visit.expected} />`
              : item.visit.doctor_name ? html`<span class="soft small">${t("doctor-named", { name: item.visit.doctor_name })}</span>`
              : item.place > 0 ? html`<span class="soft small" data-test="place">${item.place > 1 ? t("before-you", { n: item.place - 1 }) : t("first-in-queue")}</span>` : null}
            ${status.value?.training ? null : html`<${SyncLine} state=${item.sync} at=${item.sync_ms} />`}
            ${item.sms ? html`<${SmsSign} state=${item.sms} />` : null}
          </span>
          <${ColourBadge} colour=${colour} />
        </button>
      </li>`;
    })}
  </ol>`;
}
