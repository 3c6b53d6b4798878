// @ts-check
// How this node stands, for its technician: health, link, data, what waits, what was put aside, sticks, SMS, board,
// cameras and sound, log.
// Nothing of a patient comes here.
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { ago, clockTime, day, known, language, span, t } from "/ui/lib/l10n.js";
import { errorText } from "../commands.js";
import { status } from "../store.js";
import { CameraTest } from "./camera_test.js";

const EVERY_MS = 5000;
/** @type {import("/ui/vendor/signals.js").Signal<import("/ui/api").NodeReport|null>} */
const report = signal(null);
const wrong = signal("");

async function load() {
  try {
    report.value = await get("/api/report");
    wrong.value = "";
  } catch (error) {
    wrong.value = errorText(error);
  }
}

/** @param {number} count */
function bytes(count) {
  if (count < 1000) return `${count} B`;
  return count < 1_000_000 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1_000_000).toFixed(1)} MB`;
}

/** A word of ours for a code of the program, or the code itself. @param {string} prefix @param {string|number} code */
function worded(prefix, code) {
  const id = `${prefix}-${String(code).replaceAll("_", "-")}`;
  return known(id) ? t(id) : String(code);
}

/** @param {{title: string, test: string, children?: unknown}} props */
const Card = ({ title, test, children }) => html`<section class="card stack tight" data-test=${test} aria-label=${title}><h2>${title}</h2>${children}</section>`;

/** @param {{rows: [string, unknown][]}} props */
const Facts = ({ rows }) => html`<dl class="facts">${rows.map(([label, value]) => html`<dt>${label}</dt><dd class="num">${value}</dd>`)}</dl>`;

/** @param {{head: string[], rows: unknown[][]}} props */
const Table = ({ head, rows }) => html`<div class="scroll"><table><thead><tr>${head.map((one) => html`<th scope="col">${one}</th>`)}</tr></thead>
  <tbody>${rows.map((row, index) => html`<tr key=${index}>${row.map((cell) => html`<td class="num">${cell}</td>`)}</tr>`)}</tbody></table></div>`;

export function TechPage() {
  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void load();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const now = report.value;
  if (!now) return html`<p class=${wrong.value ? "notice bad" : "card"} role="status" data-test="tech-wait">${wrong.value || t("loading")}</p>`;
  return html`<div class="stack page" data-test="tech-page">
    <div class="row between"><h1>${t("tech-title")}</h1>
      <a class="button" data-test="tech-export" href="/api/report/export.json" download>${t("tech-export")}</a></div>
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <${Health} findings=${now.findings} />
    <${CameraTest} />
    <${LinkCard} now=${now} />
    <${Data} now=${now} />
    <${Backlog} now=${now} />
    <${Aside} now=${now} />
    <${Sticks} now=${now} />
    <${SmsCard} sms=${now.sms} />
    <${Devices} devices=${now.devices} />
    <${Panel} panel=${now.panel} />
    <${Log} now=${now} />
  </div>`;
}

/** @param {{findings: import("/ui/api").Finding[]}} props */
function Health({ findings }) {
  return html`<${Card} title=${t("tech-health")} test="tech-health"><ul class="stack tight">${findings.map((one) => html`<li key=${one.check}
    class=${`notice ${{ ok: "good", warn: "warn", fail: "bad" }[one.grade]}`} data-test="finding" data-check=${one.check} data-grade=${one.grade}>
    <strong>${worded("check", one.check)}: ${t(`grade-${one.grade}`)}</strong>${one.value && one.value !== "—" ? html` <span class="num">(${worded("value", one.value)})</span>` : null}
    ${one.do_en ? html`<div>${language.value === "hi" ? one.do_hi : one.do_en}</div>` : null}</li>`)}</ul><//>`;
}

/** @param {{now: import("/ui/api").NodeReport}} props */
function LinkCard({ now }) {
  const { link, bearers } = now;
  const heard = link.last_ack_age_s === null ? t("tech-never") : ago(now.time_ms - link.last_ack_age_s * 1000, now.time_ms);
  /** @type {[string, unknown][]} */
  const rows = [
    [t("tech-last-ack"), heard],
    [t("tech-rtt"), link.rtt_ms ? `${link.rtt_ms} ms` : "—"],
    [t("tech-rate"), link.rate_bps ? `${Math.round(link.rate_bps / 1000)} kbit/s` : "—"],
    [t("tech-up"), span(now.up_s)],
    [t("tech-clock"), `${day(now.time_ms)} ${clockTime(now.time_ms)} · ${now.time_trusted ? t("tech-clock-trusted") : t("tech-clock-guess")}`],
    [t("tech-version"), now.version],
    [t("tech-disk"), t("tech-disk-free", { free: `${now.disk_free_mb} MB`, records: `${now.records_mb} MB` })],
  ];
  return html`<${Card} title=${t("tech-link")} test="tech-link"><p><strong>${link.online ? t("link-online") : t("link-offline")}</strong></p>
    <ul>${bearers.map((one) => html`<li key=${one.name} data-test="bearer" data-bearer=${one.name} data-in-use=${String(one.in_use)}>
      <strong>${worded("bearer", one.name)}</strong>: ${one.in_use ? t("bearer-in-use") : t("bearer-not-used")}${one.why ? ` · ${worded("bearer-why", one.why)}` : ""}</li>`)}</ul>
    <${Facts} rows=${rows} /><//>`;
}

/** What the link carried today, and what keeps bulk back. @param {{now: import("/ui/api").NodeReport}} props */
function Data({ now }) {
  const { link, usage } = now;
  /** @type {[string, unknown][]} */
  const rows = usage.map((one) => {
    const total = one.up_bytes + one.down_bytes;
    const used = one.cap_bytes === null ? bytes(total) : `${bytes(total)} / ${bytes(one.cap_bytes)}`;
    return [worded("bearer", one.name), html`<span data-test="usage" data-bearer=${one.name}>${used} · ${one.cap_bytes === null ? t("tech-no-cap") : t("tech-cap")}</span>`];
  });
  rows.push([t("tech-hours"), now.bulk_hours || t("tech-hours-always")]);
  return html`<${Card} title=${t("tech-data")} test="tech-data"><${Facts} rows=${rows} />
    <p class=${link.waits ? "notice warn" : "soft"} data-test="tech-waits" data-waits=${link.waits}>${link.waits ? t(`tech-waits-${link.waits}`) : t("tech-waits-no")}
      ${link.waits && link.waiting_items > 0 ? html` <span class="num">${t("tech-waits-n", { n: link.waiting_items, size: bytes(link.waiting_bytes) })}</span>` : null}</p><//>`;
}

/** @param {{now: import("/ui/api").NodeReport}} props */
function Backlog({ now }) {
  const rows = now.backlog.map((one) => [
    one.cls < 0 ? t("tech-class-unknown") : worded("tech-class", one.cls), one.items, bytes(one.size_bytes), one.oldest_s === null ? "—" : span(one.oldest_s),
  ]);
  return html`<${Card} title=${t("tech-backlog")} test="tech-backlog">
    ${rows.length === 0 ? html`<p>${t("tech-nothing-waits")}</p>`
      : html`<${Table} head=${[t("tech-class"), t("tech-items"), t("tech-bytes"), t("tech-oldest")]} rows=${rows} />`}
    ${now.photos && now.photos.items > 0 ? html`<p data-test="tech-photos">${t("tech-photos", { n: now.photos.items, left: bytes(now.photos.left_bytes),
      size: bytes(now.photos.size_bytes), time: span(now.photos.oldest_s ?? 0) })}</p>` : null}
    ${now.unsealed ? html`<p class="soft">${t("tech-unsealed", { n: now.unsealed })}</p>` : null}<//>`;
}

/** What was put aside, here or at the hub. @param {{now: import("/ui/api").NodeReport}} props */
function Aside({ now }) {
  /** @type {[string, unknown][]} */
  const rows = [
    [t("tech-quarantined"), now.quarantined ?? "—"],
    [t("tech-refused"), now.refused.length === 0 ? "0" : now.refused.map((one) => html`<div key=${one.seq}>#${one.seq}: ${one.reason}</div>`)],
    [t("tech-reseals"), t("tech-reseals-n", { n: now.reseals, waiting: now.reseals_waiting })],
    [t("tech-later"), now.later.length === 0 ? "0" : now.later.map((one) => html`<div>${t("tech-later-n", { n: one.entries, kind: one.kind, version: one.version })}</div>`)],
    [t("tech-notices"), now.notices.length === 0 ? "0" : now.notices.map((one) => html`<div key=${one.code} data-test="hub-notice" data-code=${one.code}>${worded("notice", one.code)} · ${ago(one.at_ms, now.time_ms)}</div>`)],
  ];
  return html`<${Card} title=${t("tech-aside")} test="tech-aside"><${Facts} rows=${rows} /><//>`;
}

/** @param {{now: import("/ui/api").NodeReport}} props */
function Sticks({ now }) {
  const { sticks } = now;
  const rows = now.receipts.map((one) => [ago(one.at_ms, now.time_ms), one.acknowledged, one.reseal, one.quarantined]);
  return html`<${Card} title=${t("tech-sticks")} test="tech-sticks">
    ${rows.length === 0 ? html`<p class="soft">${t("tech-no-stick")}</p>`
      : html`<${Table} head=${[t("tech-when"), t("tech-settled"), t("tech-reseals"), t("tech-quarantined")]} rows=${rows} />`}
    <${Facts} rows=${[[t("tech-stick-copied"), `${sticks.copied} · ${bytes(sticks.copied_bytes)}`], [t("tech-stick-receipts"), sticks.receipts],
      [t("tech-settled"), sticks.acknowledged], [t("tech-reseals"), sticks.reseal], [t("tech-quarantined"), sticks.quarantined],
      [t("tech-stick-downs"), sticks.downs], [t("tech-stick-updates"), updatesOf(now)], [t("tech-update"), updateOf(now)], [t("tech-revoked"), revokedOf(now)]]} /><//>`;
}

/** Updates that wait for the installer. @param {import("/ui/api").NodeReport} now */
function updatesOf(now) {
  return now.updates.length === 0 ? "0" : now.updates.map((one) => html`<div key=${one.sha256} data-test="update-waits">${one.name} ${one.version} · ${bytes(one.size_bytes)}</div>`);
}

/** The update that comes, waits, or was the last, and why it does not come. @param {import("/ui/api").NodeReport} now */
function updateOf(now) {
  const one = now.update;
  if (!one) return t("tech-update-none");
  const said = t(`tech-update-${one.state.replace("_", "-")}`, { name: `${one.name} ${one.version}`, done: bytes(one.done_bytes), size: bytes(one.size_bytes) });
  const more = [one.waits && t(`tech-update-waits-${one.waits}`), one.why || one.code].filter(Boolean);
  return html`<span data-test="update-now" data-state=${one.state} data-waits=${one.waits}>${[said, ...more].join(" · ")}</span>`;
}

/** What the hub's newest list of revocations says. @param {import("/ui/api").NodeReport} now */
function revokedOf(now) {
  const told = now.revoked;
  if (!told) return t("tech-revoked-none");
  const state = told.revoked ? "node-revoked" : told.replaced ? "node-replaced" : "";
  return html`<span data-test="revoked" data-state=${state}>${day(told.made_ms)} · ${t("tech-revoked-n", { doctors: told.doctors_closed, staff: told.staff_removed })}${state ? html` · <strong>${worded("value", state)}</strong>` : null}</span>`;
}

/** @param {{sms: import("/ui/api").SmsHealth|null}} props */
function SmsCard({ sms }) {
  if (!sms) return html`<${Card} title=${t("tech-sms")} test="tech-sms"><p class="soft">${t("tech-no-modem")}</p><//>`;
  /** @type {[string, unknown][]} */
  const rows = [
    [t("tech-sms-hour"), `${sms.last_hour} / ${sms.per_hour}`],
    [t("tech-sms-day"), `${sms.last_day} / ${sms.per_day}`],
    [t("tech-sms-waiting"), sms.waiting],
    [t("tech-sms-sim"), `${sms.sim_used} / ${sms.sim_slots}`],
    [t("tech-sms-foreign"), sms.foreign],
    [t("tech-sms-cost"), `₹ ${(sms.cost_paise / 100).toFixed(2)}`],
    [t("tech-sms-opens"), sms.opens],
  ];
  return html`<${Card} title=${t("tech-sms")} test="tech-sms"><p data-test="modem" data-up=${String(sms.up)}><strong>${sms.up ? t("tech-modem-up") : t("tech-modem-down")}</strong>
    ${sms.trouble ? html` · ${worded("value", sms.trouble)}` : null}</p><${Facts} rows=${rows} /><//>`;
}

/** @param {{devices: import("/ui/api").DeviceNow[]}} props */
function Devices({ devices }) {
  const rows = devices.map((one) => [one.title, one.path || "—", one.configured ? t("yes") : t("no"), worded("tech-device-state", one.state)]);
  return html`<${Card} title=${t("tech-devices")} test="tech-devices">
    ${rows.length === 0 ? html`<p class="soft">${t("tech-no-devices")}</p>`
      : html`<${Table} head=${[t("tech-device"), t("tech-device-port"), t("tech-device-named"), t("tech-device-state")]} rows=${rows} />`}<//>`;
}

/** @param {{panel: import("/ui/api").PanelReport}} props */
function Panel({ panel }) {
  const health = panel.health;
  if (!panel.fitted || !health) return html`<${Card} title=${t("tech-panel")} test="tech-panel"><p class="soft">${t("tech-no-panel")}</p><//>`;
  /** @type {[string, unknown][]} */
  const rows = [
    [t("tech-panel-state"), worded("panel-state", health.state)],
    [t("tech-panel-battery"), `${health.battery_mv} mV`],
    [t("tech-panel-mains"), `${health.mains ? t("yes") : t("no")} · ${health.input_mv} mV`],
    [t("tech-version"), health.app_version],
    [t("tech-panel-faults"), panel.faults.length === 0 ? "0" : panel.faults.map((one) => worded("value", one)).join(", ")],
  ];
  return html`<${Card} title=${t("tech-panel")} test="tech-panel"><${Facts} rows=${rows} /><//>`;
}

/** @param {{now: import("/ui/api").NodeReport}} props */
function Log({ now }) {
  const rows = now.log.map((one) => [clockTime(one.time_ms), one.level, one.event, one.fields.map(([name, value]) => `${name}=${value}`).join(" ")]);
  return html`<${Card} title=${t("tech-log")} test="tech-log">
    ${rows.length === 0 ? html`<p class="soft">${t("tech-no-log")}</p>` : html`<${Table} head=${[t("tech-when"), t("tech-level"), t("tech-event"), t("tech-fields")]} rows=${rows} />`}
    <p class="soft small">${t("tech-privacy", { site: status.value?.site_name ?? "" })}</p><//>`;
}
