// Runs axe-core on the page as it stands; gives a sentence for each thing it finds.
async (options) => {
  const shapes = new Set([document.documentElement.lang]);
  for (const element of document.querySelectorAll("body *")) {
    if (!element.checkVisibility()) continue;
    const names = [...element.attributes].filter(({ name }) => /^(role$|aria-|type$|disabled$|tabindex$|data-colour$)/.test(name)).map(({ name, value }) =>
      /^(role|type|data-colour)$/.test(name) ? `${name}=${value}` : name);
    shapes.add(`${element.parentElement.localName}.${element.parentElement.className}>${element.localName}.${element.className?.baseVal ?? element.className}[${names.sort()}]`);
  }
  const shape = [...shapes].sort().join("\n");
  if (options.known.includes(shape.length + ":" + hash(shape))) return { shape: "", findings: [] };
  const found = await axe.run(document, { resultTypes: ["violations"], preload: false });
  return {
    shape: shape.length + ":" + hash(shape),
    findings: found.violations.flatMap((rule) =>
      rule.nodes.map((node) => `axe ${rule.id}: ${node.target.join(" ")}: ${node.html.slice(0, 120)}: ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? rule.help}`)),
  };
  function hash(text) {
    let sum = 0;
    for (let i = 0; i < text.length; i += 1) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) | 0;
    return sum;
  }
}
