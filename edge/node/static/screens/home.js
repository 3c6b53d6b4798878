// @ts-check
// The queue, the search, and the way to a new patient.
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { day, span, t } from "/ui/lib/l10n.js";
import { ColourBadge, Icon, toast } from "/ui/lib/parts.js";
import { ageText, ageWords } from "/ui/lib/ages.js";
import { errorText, submit } from "../commands.js";
import { listDrafts } from "../drafts.js";
import { go, goOn, heardOpening, loadRecord, openedVisit, queue } from "../store.js";
import { EmergencyButton } from "./emergency.js";
import { SmsSign, SyncLine } from "./progress.js";

const query = signal("");
/** @type {import("/ui/vendor/signals.js").Signal<import("/ui/api").Patient[]|null>} */
const found = signal(null);
const begun = signal(/** @type {{key: string, body: any}[]} */ ([]));
let searchTimer = 0;
let searchNumber = 0;
const starting = signal("");

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

/** Open a visit of a known patient and go to its first step. @param {string} patientId */
export async function beginVisit(patientId) {
  if (starting.value) return;
  starting.value = patientId;
  const visitId = newId();
  const outcome = await submit({ type: "open_visit", visit_id: visitId, patient_id: patientId });
  starting.value = "";
  if (!outcome.ok && "error" in outcome) {
    toast("bad", errorText(outcome.error));
    return;
  }
  query.value = "";
  found.value = null;
  if (outcome.ok) heardOpening(outcome.reply);
  go(`/visit/${visitId}/step/consent`);
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
  if (heard.ok) void loadRecord(visitId).catch(() => {});
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
      ${begun.value.map((draft) => html`<button type="button" key=${draft.key} class="wide" data-test="resume-draft"
          onClick=${() => go(`/register/${draft.key.slice("register-".length)}`)}>
          ${t("resume-register", { name: draft.body?.name || t("no-name-yet") })}
        </button>`)}
    </section>
    <section class="stack" aria-label=${t("queue")}>
      <h2>${t("queue")}</h2>
      <${Queue} />
    </section>
  </div>`;
}

function Found() {
  if (found.value?.length === 0) return html`<p class="notice" role="status" data-test="search-empty">${t("search-empty")}</p>`;
  return html`<ul class="stack tight" data-test="search-results">
    ${(found.value ?? []).map(
      (patient) => html`<li key=${patient.patient_id} class="card patient" data-test="patient-row">
        <div class="grow">
          <strong>${patient.person.name}</strong>
          <div class="soft">
            ${[ageWords(patient), t(`gender-${patient.person.gender}`), patient.person.village, patient.person.relative_name]
              .filter(Boolean).join(" · ")}
          </div>
          <div class="soft small num">${[patient.local_id, patient.person.mobile].filter(Boolean).join(" · ")}
            ${patient.last_visit_ms ? ` · ${t("last-visit", { date: day(patient.last_visit_ms) })}` : ""}</div>
        </div>
        <button type="button" class="primary" data-test="begin-visit" aria-busy=${starting.value === patient.patient_id ? "true" : "false"}
          onClick=${() => void beginVisit(patient.patient_id)}>${t("begin-visit")}</button>
      </li>`,
    )}
  </ul>`;
}

function Queue() {
  if (queue.value === null) return html`<p role="status">${t("loading")}</p>`;
  if (queue.value.length === 0) return html`<p class="card soft empty" data-test="queue-empty">${t("queue-empty")}</p>`;
  return html`<ol class="stack tight" data-test="queue">
    ${queue.value.map((item) => {
      const { colour } = item.visit;
      const unfinished = item.visit.state === "draft" || item.visit.state === "triaged";
      return html`<li key=${item.visit.visit_id}>
        <button type="button" class=${`queue-row ${colour}`} data-test="queue-row" data-visit=${item.visit.visit_id}
          onClick=${() => go(unfinished ? `/visit/${item.visit.visit_id}/step/consent` : `/visit/${item.visit.visit_id}`)}>
          <span class="token num">${item.visit.token || "—"}</span>
          <span class="grow person"><strong>${item.patient_name}</strong>
            <span class="soft">${[ageText(item.patient_age), item.patient_sex && t(`gender-${item.patient_sex}`)].filter(Boolean).join(" · ")}</span>
            <span class="soft small">${t(`state-${item.visit.state.replace("_", "-")}`)} · ${t("waits", { time: span(item.wait_s) })}</span>
            <${SyncLine} state=${item.sync} at=${item.sync_ms} />
            ${item.sms ? html`<${SmsSign} state=${item.sms} />` : null}
          </span>
          <${ColourBadge} colour=${colour} />
        </button>
      </li>`;
    })}
  </ol>`;
}
