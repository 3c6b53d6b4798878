// @ts-check
// The thermal printer at the node: print here, and in plain words why nothing comes out.
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";

/** @typedef {{job_id: string, kind: string, visit_id: string, subject: string, state: string}} Job */
/** @type {import("/ui/vendor/signals.js").Signal<{fitted: boolean, roll_mm: number, trouble: string, jobs: Job[]}|null>} */
export const printer = signal(null);

export async function loadPrinter() {
  printer.value = await get("/api/printer");
}

const GOOD = ["printed", "sent"];

/** A button that prints, with how its last job stands. @param {{path: string, kind: string, visitId: string, subject: string, text: string, main?: boolean}} props */
export function PrintHere({ path, kind, visitId, subject, text, main }) {
  useEffect(() => void (printer.value ?? loadPrinter().catch(() => {})), []);
  const now = printer.value;
  if (!now?.fitted) return null;
  const print = async () => {
    try {
      await post(path);
      await loadPrinter();
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  return html`<${PrintButton} jobs=${now.jobs.filter((one) => one.visit_id === visitId)} kind=${kind} subject=${subject} text=${text} main=${main} print=${print} />`;
}

/** The same for whoever has the jobs from elsewhere. @param {{jobs: Job[], kind: string, subject: string, text: string, main?: boolean, print: () => Promise<void>}} props */
export function PrintButton({ jobs, kind, subject, text, main, print }) {
  const state = jobs.filter((one) => one.kind === kind && one.subject === subject).at(-1)?.state ?? "";
  const under_way = state === "waiting" || state === "printing";
  return html`<span class="row tight" data-test=${`print-${kind}`} data-state=${state}>
    <button type="button" class=${main && !GOOD.includes(state) ? "primary" : ""} data-test=${`print-here-${kind}`} disabled=${under_way} aria-busy=${under_way ? "true" : "false"}
      onClick=${() => void print()}><${Icon} name="printer" /> ${text}</button>
    ${state && state !== "printed" ? html`<span class=${under_way || state === "sent" ? "notice warn slim" : "notice bad slim"} role="status" data-test="print-state">${t(`print-${state.replaceAll("_", "-")}`)}</span>` : null}</span>`;
}
