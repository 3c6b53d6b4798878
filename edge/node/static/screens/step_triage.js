// @ts-check
// What the rules say, and why; then the token.
import { picture } from "/ui/lib/answer.js";
import { html, useSignal } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";
import { ColourBadge } from "/ui/lib/parts.js";
import { colourOf } from "/ui/lib/colour.js";
import { errorText, isBehind, submit } from "../commands.js";
import { dropDraft } from "../drafts.js";
import { reference } from "/ui/lib/reference.js";
import { go, loadRecord } from "../store.js";
import { offerTokenUndo } from "../undo.js";
import { missingWords, reasonWords } from "/ui/lib/reasons.js";
import { EmergencyFacts } from "./emergency.js";

/** @param {{record: import("../store.js").VisitRecord}} props */
export function TriageStep({ record }) {
  const busy = useSignal("");
  const wrong = useSignal("");
  const { visit } = record;
  // What the node has not answered is not in its result: a colour of before could be too weak.
  const behind = isBehind(visit.visit_id) && !busy.value;
  const colour = behind && colourOf(visit) !== "red" ? "not_triaged" : colourOf(visit);
  const refused = visit.consents.some((one) => one.purpose === "teleconsultation")
    && !visit.consents.filter((one) => one.purpose === "teleconsultation").at(-1)?.given;
  const inQueue = visit.token !== "" && visit.state !== "draft" && visit.state !== "triaged";
  const give = async (/** @type {any} */ body, /** @type {string} */ mark) => {
    busy.value = mark;
    wrong.value = "";
    await picture();
    const outcome = await submit({ ...body, visit_id: visit.visit_id });
    busy.value = "";
    if (!outcome.ok && "error" in outcome) {
      wrong.value = errorText(outcome.error);
      return false;
    }
    void loadRecord(visit.visit_id).catch(() => {});
    return true;
  };
  return html`
    <section class=${`card stack triage ${colour}`} aria-live="polite">
      <div data-test="triage-colour" data-colour=${colour}><${ColourBadge} colour=${colour} /></div>
      ${behind ? html`<p class="notice warn" role="alert" data-test="triage-behind">${t("triage-behind")}</p>` : null}
      <p class="lead">${t(`colour-meaning-${colour.replace("_", "-")}`)}</p>
      ${visit.triage.reasons.length > 0 ? html`<div><h2>${t("why")}</h2><ul class="reasons" data-test="triage-reasons">
        ${visit.triage.reasons.map((code) => html`<li key=${code}>${reasonWords(code)} <span class="soft small">${code}</span></li>`)}</ul></div>` : null}
      ${visit.staff_colour ? html`<p>${t("raised-by-staff")}</p>` : null}
      ${visit.triage.missing.length > 0 ? html`<div class="notice warn"><strong>${t("still-missing")}</strong><ul data-test="triage-missing">
        ${visit.triage.missing.map((code) => html`<li key=${code}>${missingWords(code)}</li>`)}</ul></div>` : null}
      ${typeof visit.triage.news2 === "number" ? html`<p class="soft">NEWS2: <span class="num">${visit.triage.news2}</span></p>` : null}
      ${colour === "red" ? html`<${EmergencyFacts} />` : null}
      <p class="soft small">${t("triage-status")} · <span lang="en">${reference.value?.triage_attribution ?? ""}</span></p>
    </section>
    ${refused && colour !== "red" ? html`<p class="notice warn">${t("token-needs-consent")}</p>` : null}
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="step-wrong">${wrong.value}</p>` : null}
    <div class="row">
      ${colour === "red" ? null : html`<button type="button" data-test="raise-triage" disabled=${Boolean(busy.value)}
        onClick=${() => void give({ type: "raise_triage", colour: colour === "yellow" ? "red" : "yellow", reason: "" }, "raise")}>
        ${colour === "yellow" ? t("raise-red") : t("raise-yellow")}</button>`}
      <button type="button" class="primary big grow" data-test="issue-token" disabled=${Boolean(busy.value)} aria-busy=${busy.value === "token" ? "true" : "false"}
        onClick=${async () => {
          if (inQueue || (await give({ type: "issue_token" }, "token"))) {
            if (!inQueue) offerTokenUndo(visit.visit_id, record.patient.person.name);
            void dropDraft(`visit-${visit.visit_id}`);
            go(`/visit/${visit.visit_id}`);
          }
        }}>${inQueue ? t("to-visit") : t("issue-token")}</button>
    </div>`;
}
