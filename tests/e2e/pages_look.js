// What is wrong with the page as it stands: names, sizes, contrast, width, words. Gives a list of sentences.
(least) => {
  const faults = [];
  const seen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const nameOf = (element) => {
    const labelled = element.getAttribute('aria-label') || element.getAttribute('title') || element.textContent.trim();
    if (labelled) return labelled;
    if (element.labels && element.labels.length) return element.labels[0].textContent.trim();
    return '';
  };
  const ids = new Set();
  for (const element of document.querySelectorAll('[id]')) {
    if (element.closest('svg')) continue;
    if (ids.has(element.id)) faults.push('two elements with the id ' + element.id);
    ids.add(element.id);
  }
  for (const element of document.querySelectorAll('button, a, input, select, textarea, [role=option]')) {
    if (!seen(element) || element.closest('.skip')) continue;
    const what = element.tagName + ' ' + (element.dataset.test || element.id || element.textContent.slice(0, 30));
    if (element.matches('button, a') ? !nameOf(element) : !(element.labels?.length || element.getAttribute('aria-label') || nameOf(element)))
      faults.push('no name: ' + what);
    const box = (element.type === 'checkbox' ? element.closest('label') : element).getBoundingClientRect();
    if (box.height < least || box.width < Math.min(least, 44)) faults.push(`small (${Math.round(box.width)}x${Math.round(box.height)}): ` + what);
  }
  for (const image of document.querySelectorAll('img')) if (!image.hasAttribute('alt')) faults.push('image without alt');
  if (!document.querySelector('main')) faults.push('no main');
  if (!document.documentElement.lang) faults.push('no language');
  if (document.documentElement.scrollWidth > innerWidth + 1) faults.push(`wider than the screen: ${document.documentElement.scrollWidth}`);
  const parse = (text) => { const m = text.match(/[\d.]+/g).map(Number); return { rgb: m.slice(0, 3), alpha: m[3] ?? 1 }; };
  const light = (rgb) => { const [r, g, b] = rgb.map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (element) => { for (let e = element; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.alpha > 0.5) return c.rgb; } return [255, 255, 255]; };
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !seen(element) || element.closest('svg, [disabled], .visually-hidden, option, dialog:not([open])')) continue;
    const [one, two] = [light(parse(getComputedStyle(element).color).rgb), light(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${element.textContent.trim().slice(0, 40)}`);
  }
  if (document.body.innerText.includes('\u27e6')) faults.push('untranslated: ' + document.body.innerText.match(/\u27e6.*?\u27e7/g));
  return faults;
}
