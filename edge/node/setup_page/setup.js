// @ts-check
/** Sets a new node up: code, hub, recovery code, the first people. Each step is what the node says comes next. */

/**
 * @typedef {{code: string, message: string}} Refusal
 * @typedef {{staff_id: string, name: string, name_hi: string, role: string}} Staff
 * @typedef {{step: string, hub: string, site: string, staff: Staff[], returning: Staff[], can_finish: boolean,
 *   problem?: Refusal | null}} Now
 */

const step = /** @type {HTMLElement} */ (document.getElementById('step'));
const problem = /** @type {HTMLElement} */ (document.getElementById('problem'));
const site = /** @type {HTMLElement} */ (document.getElementById('site'));
let csrf = '';

/** @type {Record<string, string>} */
const ROLES = {
  anm: 'एएनएम · ANM',
  cho: 'सीएचओ · CHO',
  pharmacist: 'फ़ार्मासिस्ट · Pharmacist',
  technician: 'तकनीशियन · Technician',
};

/** Problems in Hindi; the node's own English sentence stands below. @type {Record<string, string>} */
const PROBLEMS = {
  wrong_setup_code: 'यह सेट-अप कोड सही नहीं है।',
  too_many_attempts: 'कई बार ग़लत कोड डाला गया। थोड़ा रुकें।',
  hub_unreachable: 'हब तक नहीं पहुँच पाए। इंटरनेट आने पर फिर कोशिश करें; टोकन अभी भी सही है।',
  enrol_refused: 'हब ने मना किया। नया टोकन माँगें।',
  token_malformed: 'यह पूरा टोकन नहीं है।',
  recovery_not_written: 'ये आख़िरी अक्षर नहीं हैं। कोड फिर देखें।',
  setup_needs_staff: 'पहले कम से कम एक व्यक्ति जोड़ें।',
  unauthorised: 'सेट-अप कोड फिर डालें।',
  offline: 'डिब्बा जवाब नहीं दे रहा। वाई-फाई देखें।',
};

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Hindi with English below. @param {string} hindi @param {string} english */
function both(hindi, english) {
  const holder = document.createDocumentFragment();
  holder.append(`${hindi} `, make('span', {lang: 'en'}, english));
  return holder;
}

/** @param {Refusal | null | undefined} refusal */
function tell(refusal) {
  problem.hidden = !refusal;
  if (refusal) problem.replaceChildren(both(PROBLEMS[refusal.code] ?? 'यह नहीं हुआ।', refusal.message));
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 */
async function ask(method, path, body) {
  /** @type {Response} */
  let reply;
  try {
    reply = await fetch(path, {
      method,
      headers: {'X-CSRF': csrf, ...(body ? {'Content-Type': 'application/json'} : {})},
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch {
    tell({code: 'offline', message: 'The box does not answer. Look at the Wi-Fi.'});
    return null;
  }
  const answer = await reply.json();
  if (!reply.ok) {
    tell(answer);
    if (reply.status === 401) showCode();
    return null;
  }
  tell(null);
  return answer;
}

/** A button that cannot be pressed twice. @param {string} test @param {Node} label @param {() => Promise<void>} act */
function button(test, label, act) {
  const element = /** @type {HTMLButtonElement} */ (make('button', {class: 'button', type: 'button', 'data-test': test}, label));
  element.addEventListener('click', async () => {
    element.disabled = true;
    await act();
    element.disabled = false;
  });
  return element;
}

/**
 * A form of text fields.
 * @param {string} test
 * @param {Node} label
 * @param {HTMLElement[]} fields
 * @param {(values: Record<string, string>) => Promise<void>} act
 */
function form(test, label, fields, act) {
  const submit = /** @type {HTMLButtonElement} */ (make('button', {class: 'button', 'data-test': test}, label));
  const element = /** @type {HTMLFormElement} */ (make('form', {}, ...fields, submit));
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    await act(Object.fromEntries([...new FormData(element)].map(([name, value]) => [name, String(value)])));
    submit.disabled = false;
  });
  return element;
}

/** @param {string} name @param {Node} label @param {Record<string, string>} attributes */
function field(name, label, attributes = {}) {
  const input = make('input', {name, 'data-test': `setup-${name}`, autocomplete: 'off', required: '', ...attributes});
  return make('label', {}, label, input);
}

const DIGITS = {inputmode: 'numeric', pattern: '[0-9]*'};

function showCode() {
  const code = field('code', both('सेट-अप कोड (8 अंक)', 'Set-up code (8 digits)'), {...DIGITS, minlength: '8', maxlength: '8'});
  step.replaceChildren(
    form('setup-enter', both('शुरू करें', 'Begin'), [code], async ({code: typed}) => {
      const answer = await ask('POST', '/api/setup/code', {code: typed});
      if (!answer) return;
      csrf = answer.csrf;
      show(answer.now);
    }),
  );
}

/** @param {Now} now */
function showEnrol(now) {
  step.replaceChildren(
    make('p', {}, both(`हब: ${now.hub}`, 'The box makes its keys and asks the hub. It needs the Internet for a moment.')),
    button('setup-enrol', both('हब से जोड़ें', 'Enrol with the hub'), async () => show(await ask('POST', '/api/setup/enrol'))),
  );
}

function showToken() {
  step.replaceChildren(
    make('p', {}, both('प्रशासक से नया टोकन माँगें।', 'Ask the administrator for a new site token.')),
    form('setup-token-send', both('फिर शुरू करें', 'Begin anew'), [field('token', both('टोकन', 'Site token (UPK1-…)'))], async (values) => {
      show(await ask('POST', '/api/setup/token', values));
    }),
  );
}

async function showRecovery() {
  const answer = await ask('GET', '/api/setup/recovery');
  if (!answer) return;
  step.replaceChildren(
    make('p', {}, both('यह कोड काग़ज़ पर लिखें और बंद लिफ़ाफ़े में प्रशासक को दें। यह फिर नहीं दिखेगा।',
      'Write this code on paper and give it to the administrator in a sealed envelope. It is not shown again.')),
    make('p', {class: 'code', 'data-test': 'setup-recovery'}, answer.recovery_code),
    form('setup-written', both('लिख लिया', 'I wrote it down'), [field('last', both('आख़िरी 4 अक्षर', 'Its last 4 characters'), {minlength: '4', maxlength: '4'})],
      async (values) => show(await ask('POST', '/api/setup/recovery', values))),
  );
}

/** @param {{staff: Staff, badge: string, badge_svg: string, now: Now}} made */
function showBadge(made) {
  const picture = make('img', {src: `data:image/svg+xml,${encodeURIComponent(made.badge_svg)}`, alt: 'QR'});
  const name = made.staff.name_hi || made.staff.name;
  step.replaceChildren(
    make('div', {class: 'badge'}, picture, make('p', {}, `${name} · ${ROLES[made.staff.role]}`), make('p', {class: 'code', 'data-test': 'setup-badge'}, made.badge)),
    make('p', {}, both('यह बैज अभी छापें या लिखें; यह फिर नहीं दिखेगा। पिन केवल उसी को बताएँ।',
      'Print or write this badge now; it is not shown again. The PIN is for that person alone.')),
    make('div', {class: 'stack'},
      button('setup-print', both('छापें', 'Print'), async () => window.print()),
      button('setup-next', both('आगे', 'Go on'), async () => show(made.now))),
  );
}

const PIN = () => field('pin', both('पिन (6 अंक), वह ख़ुद चुने', 'PIN (6 digits), chosen by that person'),
  {...DIGITS, type: 'password', minlength: '6', maxlength: '6', autocomplete: 'new-password'});

/** @param {Now} now */
function showStaff(now) {
  const roles = make('select', {name: 'role', 'data-test': 'setup-role'},
    ...Object.entries(ROLES).map(([value, label]) => make('option', {value}, label)));
  const fields = [
    field('name_hi', both('नाम हिन्दी में', 'Name in Hindi'), {maxlength: '80'}),
    field('name', both('नाम अंग्रेज़ी में', 'Name in English'), {maxlength: '80'}),
    make('label', {}, both('काम', 'Role'), roles),
    PIN(),
  ];
  step.replaceChildren(
    make('ul', {}, ...now.staff.map((one) => make('li', {}, `${one.name_hi || one.name} · ${ROLES[one.role]} ✓`))),
    ...now.returning.map((one) => form(`setup-renew-${one.staff_id}`, both(`${one.name_hi || one.name}: नया बैज`, 'Give a new badge'), [PIN()],
      async ({pin}) => {
        const made = await ask('POST', '/api/setup/badge', {staff_id: one.staff_id, pin});
        if (made) showBadge(made);
      })),
    form('setup-add', both('जोड़ें', 'Add'), fields, async (values) => {
      const made = await ask('POST', '/api/setup/staff', values);
      if (made) showBadge(made);
    }),
  );
  if (now.can_finish) {
    step.append(make('hr'), button('setup-finish', both('सेट-अप पूरा करें', 'Finish the set-up'), async () => show(await ask('POST', '/api/setup/finish'))));
  }
}

/** The clinic's pages take this page's place within seconds. */
async function showDone() {
  step.replaceChildren(make('p', {role: 'status', 'data-test': 'setup-done'}, both('सब तैयार है। क्लिनिक खुल रहा है…', 'All is ready. The clinic opens…')));
  for (;;) {
    await new Promise((wake) => setTimeout(wake, 1000));
    try {
      if ((await fetch('/api/status', {cache: 'no-store'})).ok) {
        location.replace('/');
        return;
      }
    } catch {
      // it is starting
    }
  }
}

/** @param {Now | null} now */
function show(now) {
  if (!now) return;
  site.textContent = now.site;
  tell(now.problem);
  if (now.step === 'no_file') {
    step.replaceChildren(make('p', {'data-test': 'setup-no-file'}, both('कार्ड पर सेट-अप फ़ाइल नहीं है। तकनीशियन उसे बनाकर कार्ड पर रखें।',
      'There is no provisioning file on the card. Make one with `image provision` and put it there.')));
  } else if (now.step === 'done') showDone();
  else if (!csrf) showCode();
  else if (now.step === 'enrol') showEnrol(now);
  else if (now.step === 'new_token') showToken();
  else if (now.step === 'recovery') showRecovery();
  else showStaff(now);
}

show(await ask('GET', '/api/setup'));

export {};
