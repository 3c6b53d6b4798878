// @ts-check
// The record of the chosen visit on one screen, with the doctor's notes.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, post, put } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { ago, clockTime, day, known, language, span, t } from "/ui/lib/l10n.js";
import { ColourBadge, Dialog, toast } from "/ui/lib/parts.js";
import { RecordFacts } from "/ui/lib/facts.js";
import { missingWords, reasonWords } from "/ui/lib/reasons.js";
import { ageText } from "/ui/lib/ages.js";
import { colourOf } from "/ui/lib/colour.js";
import { words } from "/ui/lib/reference.js";
import { specialityName } from "/ui/lib/speciality.js";
import { SpokenAnswer } from "./answer.js";
import { HandOver } from "./hand.js";
import { Media } from "./media.js";
import { startAmending } from "./rx.js";
import { canSign, doctor, errorText, loadQueue, loadRecord, queue, record } from "./store.js";

const AUTOSAVE_MS = 1500;
const LOAD_AGAIN_MS = 2000;

/** The name of somebody at the node; "" while it has not arrived. @param {string} id */
function nameOf(id) {
  const found = record.value?.workers.find((one) => one.staff_id === id);
  return found ? (language.value === "hi" ? found.name_hi : found.name) : "";
}

export function Record() {
  const now = record.value;
  if (!now) return null;
  const { visit, patient } = now;
  const colour = colourOf(visit);
  const waited = queue.value?.find((one) => one.visit.visit_id === visit.visit_id)?.waited_s;
  const mine = visit.doctor_id === doctor.value?.doctor_id && Boolean(visit.doctor_name);
  const act = (/** @type {string} */ what) => async () => {
    try {
      await post(`/api/visits/${visit.visit_id}/${what}`);
      await Promise.all([loadRecord(visit.visit_id), loadQueue()]);
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  return html`<div class="stack tight" data-test="record" data-visit=${visit.visit_id} data-state=${visit.state}>
    <div class="row between">
      <div class="grow"><h1 id="record-title" tabindex="-1">${patient?.person.name ?? "—"}</h1>
        <p class="soft">${[ageText(now.patient_age), patient && t(`gender-${patient.person.gender}`), patient?.person.village, now.site.site_name].filter(Boolean).join(" · ")}</p></div>
      <${ColourBadge} colour=${colour} />
    </div>
    <div class="row tight"><strong class="num token">${visit.token || "—"}</strong><span data-test="visit-state" data-state=${visit.state}>${t(`state-${visit.state.replace("_", "-")}`)}</span>
      ${waited !== undefined && visit.state === "waiting" ? html`<span class="soft" data-test="waited">${t("waits", { time: span(waited) })}</span>` : null}
      <span class="grow"></span>
      ${visit.closed_ms ? html`<span class="notice good slim">${t("visit-closed", { time: `${day(visit.closed_ms)} ${clockTime(visit.closed_ms)}` })}</span>`
        : mine ? html`<${HandOver} visitId=${visit.visit_id} /><button type="button" data-test="put-back" onClick=${act("put-back")}>${t("put-back")}</button>`
        : html`<button type="button" data-test="take" disabled=${Boolean(visit.doctor_name)} onClick=${act("take")}>${visit.doctor_name ? t("taken-by", { name: visit.doctor_name }) : t("take")}</button>`}
    </div>
    ${visit.speciality ? html`<p class="notice warn slim" data-test="speciality" data-speciality=${visit.speciality}>${t("speciality-asked", { name: specialityName(visit.speciality) })}</p>` : null}
    ${visit.triage.reasons.length > 0 ? html`<div class=${colour === "red" ? "notice bad" : "notice warn"}><strong>${t("why")}</strong>
      <ul class="dots">${visit.triage.reasons.map((code) => html`<li key=${code}>${reasonWords(code)} <span class="small">${code}</span></li>`)}</ul></div>` : null}
    ${visit.staff_colour ? html`<p class="notice warn">${t("raised-by-staff")}</p>` : null}
    ${typeof visit.triage.news2 === "number" ? html`<p class="soft small">NEWS2: <span class="num">${visit.triage.news2}</span></p>` : null}
    ${visit.triage.missing.length > 0 ? html`<p class="notice warn">${t("still-missing")}: ${visit.triage.missing.map(missingWords).join(", ")}</p>` : null}
    <${RxStatus} />
    <${Media} key=${visit.visit_id} visitId=${visit.visit_id} media=${visit.media} open=${!visit.closed_ms} />
    ${patient ? html`<${RecordFacts} visit=${visit} patient=${patient} nameOf=${nameOf} />` : null}
    <section class="card"><h2>${t("consents")}</h2>${visit.consents.length === 0 ? html`<em>${t("not-asked")}</em>` : null}<ul>${visit.consents.map((one, index) => html`<li key=${index}>
      ${t(one.purpose === "data" ? "consent-data" : "consent-tele")}: <strong>${one.given ? t("given") : t("refused-consent")}</strong>
      <span class="soft small"> · ${[t(`method-${one.method}`), one.guardian_name ? t("guardian-named", { name: one.guardian_name }) : "", clockTime(one.at_ms)].filter(Boolean).join(" · ")}</span></li>`)}</ul></section>
    <${Thirds} thirds=${visit.thirds ?? []} />
    ${now.earlier.length > 0 ? html`<section class="card"><h2>${t("earlier-visits")}</h2><ul>${now.earlier.map((one) => html`<li key=${one.visit_id}>
      <span class="num">${day(one.opened_ms)}</span> · ${[one.token, one.complaints.map((complaint) => complaint.text || words("complaints", complaint.code)).join(", "),
        t(`state-${one.state.replace("_", "-")}`)].filter(Boolean).join(" · ")}
      <${EarlierPapers} papers=${now.earlier_papers.filter((paper) => paper.visit_id === one.visit_id)} /></li>`)}</ul></section>` : null}
    <${SpokenAnswer} key=${`spoken-${visit.visit_id}`} visit=${visit} home=${now.site.home} />
    <${Notes} key=${visit.visit_id} visitId=${visit.visit_id} />
  </div>`;
}

/** What was found then and prescribed, as far as it stands. @param {{papers: import("./store.js").EarlierPaper[]}} props */
function EarlierPapers({ papers }) {
  return papers.map((one) => html`<div key=${one.signed_ms} data-test="earlier-paper"><strong>${one.diagnosis}</strong> ${[one.diagnosis_code, one.provisional ? t("provisional") : ""].filter(Boolean).join(" · ")}
    <span class="soft small"> · ${one.doctor_name}</span>
    ${one.medicines.length > 0 ? html`<div class="small">${one.medicines.map((line, index) => html`<span key=${index} data-test="earlier-line" data-runs=${String(line.runs)}>${index ? ", " : ""}${line.generic} ${line.strength}${line.runs ? html` <strong>(${t("still-taken")})</strong>` : null}</span>`)}</div>` : null}</div>`);
}

/** Who came into the calls of the visit as a third person, from when to when, and how she left. @param {{thirds: import("/ui/api").Third[]}} props */
function Thirds({ thirds }) {
  if (thirds.length === 0) return null;
  return html`<section class="card"><h2>${t("third-record")}</h2><ul>${thirds.map((one) => html`<li key=${one.third_id} data-test="record-third" data-because=${one.because}>
    <strong>${one.name}</strong> ${[one.qualification, t("third-registration", { number: one.registration })].filter(Boolean).join(" · ")}
    <div class="soft small">${[one.left_ms ? t("third-from-to", { from: clockTime(one.joined_ms), to: clockTime(one.left_ms) }) : t("third-since", { time: clockTime(one.joined_ms) }),
      one.left_ms && known(`third-because-${one.because.replace("_", "-")}`) ? t(`third-because-${one.because.replace("_", "-")}`) : "",
      t(`third-record-${one.agreed}`)].filter(Boolean).join(" · ")}</div></li>`)}</ul></section>`;
}

/** When the node was last heard: what it has not said yet may have happened since. @param {import("./store.js").HubRecord} now */
function heardText({ site, now_ms }) {
  if (site.last_ack_age_s === null) return t("node-never-heard");
  return t("node-heard", { time: ago(now_ms - site.last_ack_age_s * 1000, now_ms) });
}

/** Signed → at the node → printed → read out, for each prescription of the visit. */
function RxStatus() {
  const now = record.value;
  if (!now || now.visit.prescriptions.length === 0) return null;
  return html`<section class="card" aria-label=${t("rx-status")}><h2>${t("rx-status")}</h2>
    ${now.visit.prescriptions.map((one) => {
      const state = one.printed_ms ? "printed" : one.stored_ms ? "at_node" : "signed";
      const steps = [["signed", one.signed_ms], ["at-node", one.stored_ms], ["printed", one.printed_ms], ["read-out", now.visit.explained ? now.visit.closed_ms : 0]];
      const written = now.prescriptions.find((found) => found.prescription_id === one.prescription_id);
      return html`<div key=${one.prescription_id}><ol class="rx-steps" data-test="rx-status" data-state=${state}>
        ${steps.map(([name, at]) => html`<li key=${name} class=${at ? "done" : ""}><span>${at ? "✓" : "○"} ${t(String(name))}</span>
          <span class="small num">${at ? clockTime(Number(at)) : ""}</span></li>`)}</ol>
        ${written?.replaces ? html`<p class="small" data-test="rx-amends">${t(written.cancels ? "rx-is-cancellation" : "rx-is-amendment")}${written.reason ? ` · ${written.reason}` : ""}</p>` : null}
        <${Standing} visitId=${now.visit.visit_id} written=${written} stands=${(now.standing ?? []).find((found) => found.prescription_id === one.prescription_id)} />
        ${written ? html`<p class="small">${written.diagnosis} · ${written.medicines.map((line) => line.generic).join(", ")}</p>` : null}</div>`;
    })}<p class="soft small" data-test="node-heard">${heardText(now)}</p></section>`;
}

/** Whether it stands; if so, the ways to amend and to cancel it. @param {{visitId: string, written: any, stands: any}} props */
function Standing({ visitId, written, stands }) {
  const asking = useSignal(false);
  const reason = useSignal("");
  const password = useSignal("");
  const wrong = useSignal("");
  const command = useSignal(newId());
  const busy = useSignal(false);
  const holder = record.value?.visit;
  if (!written || !stands) return null;
  if (stands.standing !== "valid") return written.cancels ? null : html`<p class="notice bad slim" data-test="rx-standing" data-standing=${stands.standing}>${t(`rx-${stands.standing}`)}</p>`;
  if (holder?.doctor_name && holder.doctor_id !== doctor.value?.doctor_id) return null;
  const cancel = async () => {
    busy.value = true;
    try {
      await post(`/api/visits/${visitId}/cancel-prescription`, { command_id: command.value, prescription_id: written.prescription_id, reason: reason.value.trim(), password: password.value });
      canSign.value = true;
      asking.value = false;
      await Promise.all([loadRecord(visitId), loadQueue()]);
    } catch (error) {
      if (error instanceof ApiError && error.code.includes("password")) canSign.value = false;
      wrong.value = errorText(error);
    } finally {
      password.value = "";
      busy.value = false;
    }
  };
  return html`<div class="row tight"><button type="button" data-test="rx-amend" onClick=${() => startAmending(visitId, written)}>${t("rx-amend")}</button>
    <button type="button" data-test="rx-cancel" onClick=${() => (asking.value = true)}>${t("rx-cancel")}</button>
    ${asking.value ? html`<${Dialog} title=${t("rx-cancel")} test="cancel-dialog" onClose=${() => (asking.value = false)}>
      <p>${written.medicines.map((/** @type {any} */ line) => line.generic).join(", ")}</p>
      <div class="field"><label for="cancel-reason">${t("amend-reason")}</label><input id="cancel-reason" data-test="cancel-reason" maxlength="200" value=${reason.value}
        onInput=${(/** @type {any} */ event) => (reason.value = event.currentTarget.value)} /></div>
      ${canSign.value ? null : html`<div class="field"><label for="cancel-password">${t("password")}</label><input id="cancel-password" type="password" autocomplete="current-password" data-test="cancel-password"
        value=${password.value} onInput=${(/** @type {any} */ event) => (password.value = event.currentTarget.value)} /></div>`}
      ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
      <div class="row"><button type="button" onClick=${() => (asking.value = false)}>${t("back")}</button>
        <button type="button" class="primary grow" data-test="cancel-confirm" disabled=${!reason.value.trim() || busy.value} onClick=${() => void cancel()}>${t("rx-cancel")}</button></div><//>` : null}</div>`;
}

/** @param {{visitId: string}} props */
function Notes({ visitId }) {
  const text = useSignal("");
  const state = useSignal("loading");
  const timer = useSignal(0);
  useEffect(() => {
    let here = true;
    const load = async () => {
      try {
        text.value = (await get(`/api/visits/${visitId}/notes`))?.text ?? "";
        if (here) state.value = "saved";
      } catch {
        if (here) timer.value = window.setTimeout(() => void load(), LOAD_AGAIN_MS);
      }
    };
    state.value = "loading";
    void load();
    return () => {
      here = false;
      clearTimeout(timer.peek());
      if (state.peek() === "saving" || state.peek() === "unsaved") void save();
    };
  }, [visitId]);
  const save = async () => {
    clearTimeout(timer.value);
    const saving = text.peek();
    state.value = "saving";
    try {
      await put(`/api/visits/${visitId}/notes`, { text: saving });
      state.value = text.peek() === saving ? "saved" : "saving";
    } catch {
      state.value = "unsaved";
      timer.value = window.setTimeout(() => void save(), 3000);
    }
  };
  return html`<section class="card field"><div class="row between"><label for="notes">${t("notes")}</label>
      <span class="small soft" role="status" data-test="notes-state" data-state=${state.value}>${t(`notes-${state.value}`)}</span></div>
    <textarea id="notes" data-test="notes" maxlength="20000" disabled=${state.value === "loading"} value=${text.value} onBlur=${() => {
      if (state.value === "saving" || state.value === "unsaved") void save();
    }} onInput=${(/** @type {any} */ event) => {
      text.value = event.currentTarget.value;
      state.value = "saving";
      clearTimeout(timer.value);
      timer.value = window.setTimeout(() => void save(), AUTOSAVE_MS);
    }}></textarea></section>`;
}
