// Lighthouse on pages of a browser that runs already: one JSON line in for each look, one out with scores and what failed.
// node lighthouse.mjs PORT: the browser's debugging port.
import { createInterface } from "node:readline";
import lighthouse, { snapshot } from "lighthouse";
import puppeteer from "puppeteer-core";

const flags = {
  onlyCategories: ["accessibility", "best-practices"],
  formFactor: "desktop",
  screenEmulation: { disabled: true },
  emulatedUserAgent: false,
  throttlingMethod: "provided",
  disableStorageReset: true,
  maxWaitForLoad: 5_000,
  logLevel: "silent",
};
const browser = await puppeteer.connect({ browserURL: `http://127.0.0.1:${process.argv[2]}`, defaultViewport: null });
for await (const line of createInterface({ input: process.stdin })) {
  const { target, load } = JSON.parse(line);
  try {
    const found = browser.targets().find((one) => one._targetId === target);
    const page = await found.page();
    const { lhr } = load ? await lighthouse(page.url(), flags, undefined, page) : await snapshot(page, { flags });
    if (lhr.runtimeError) throw new Error(lhr.runtimeError.message);
    const failed = Object.values(lhr.audits).filter((audit) => audit.score !== null && audit.score < 1).map((audit) =>
      `${audit.id}: ${(audit.details?.items ?? []).slice(0, 3).map((one) => one.node?.snippet ?? one.description ?? JSON.stringify(one)).join(" | ").slice(0, 400)}`);
    const scores = Object.fromEntries(Object.values(lhr.categories).map(({ id, score }) => [id, score]));
    console.log(JSON.stringify({ scores, failed }));
  } catch (error) {
    console.log(JSON.stringify({ scores: {}, failed: [String(error?.stack ?? error)] }));
  }
}
await browser.disconnect();
