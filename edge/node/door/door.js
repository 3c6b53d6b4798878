// @ts-check
/** Tells whether this tablet trusts the node yet: a request by HTTPS goes through, or it does not. */

const state = /** @type {HTMLElement} */ (document.getElementById('state'));
const steps = /** @type {HTMLElement} */ (document.getElementById('steps'));
const enter = /** @type {HTMLAnchorElement} */ (document.getElementById('open'));

/** @type {Record<string, [string, string]>} */
const WORDS = {
  asking: ['जाँच हो रही है…', 'Checking…'],
  ready: ['सब ठीक है।', 'All is well.'],
  missing: ['यह टैबलेट अभी इस डिब्बे को नहीं पहचानता।', 'This tablet does not know this box yet.'],
  silent: ['डिब्बा जवाब नहीं दे रहा। वाई-फाई देखें।', 'The box does not answer. Look at the Wi-Fi.'],
};

/** @param {string} name */
function show(name) {
  const [hindi, english] = WORDS[name];
  const second = document.createElement('span');
  second.lang = 'en';
  second.textContent = english;
  state.replaceChildren(`${hindi} `, second);
  state.dataset.state = name;
  enter.hidden = name !== 'ready';
  steps.hidden = name !== 'missing';
}

async function check() {
  show('asking');
  let https = '';
  try {
    https = (await (await fetch('/where')).json()).https;
  } catch {
    show('silent');
    return;
  }
  enter.href = https;
  try {
    await fetch(`${https}/trusted`, {cache: 'no-store'});
    show('ready');
  } catch {
    show('missing');
  }
}

/** @type {HTMLButtonElement} */ (document.getElementById('again')).addEventListener('click', check);
check();

export {};
