// The status page: asks for /status, /ready, /drift and /samples, and shows them.
//
// Owns: everything inside `main`.
// Never does: change the service, or take a word of an answer for markup: text goes through textContent only.
//
// Invariant: what is not known is never shown as healthy.

const ASK_EVERY = 2000;
const PATIENCE = 10000;
const RATES_KEPT = 60;
const ROWS_SHOWN = 100;
const FILTER_FROM = 31;

// Worst first.
const STATES = {
  alert: ['✖', 'alert'],
  warning: ['▲', 'warning'],
  unknown: ['?', 'unknown'],
  insufficient_data: ['?', 'insufficient data'],
  catching_up: ['»', 'catching up'],
  quiet: ['✓', 'quiet'],
};
const RANKS = Object.keys(STATES);
const STATISTICS = { js: 'JS', tv: 'total variation', l_infinity: 'L∞', ks: 'KS', pit_w1: 'PIT W1', chi2: 'χ²' };
const WHY = {
  explore: 'drawn at random',
  uncertainty: 'the model was unsure',
  anomaly: 'unlike the reference',
  disagreement: 'models disagreed',
  class_floor: 'few labels of its class',
};

const place = (id) => document.getElementById(id);
const known = (state) => (Object.hasOwn(STATES, state) ? state : 'unknown');
const worst = (...states) => states.reduce((a, b) => (RANKS.indexOf(a) <= RANKS.indexOf(b) ? a : b));
const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

// Words.
const and = new Intl.ListFormat('en');
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const NONE = '–';
// A name may be empty, as long as a book, or turn the direction of what is written around it.
const name = (value) => (/\S/.test(value ?? NONE) ? String(value ?? NONE) : '(blank)');
const short = (value) => (name(value).length > 60 ? `${name(value).slice(0, 59)}…` : name(value));
const inline = (value) => (/^[\w .:/()…≤>-]*$/.test(short(value)) ? short(value) : `\u2068${short(value)}\u2069`);
const count = (value) => (isNumber(value) ? whole.format(value) : NONE);
const plural = (value, word) => `${count(value)} ${word}${value === 1 ? '' : 's'}`;
const both = (value) => (value === 1 ? '1 feature or output' : `${count(value)} features and outputs`);
const decimal = (value, digits = 3) => (isNumber(value) ? value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits }) : NONE);
const percent = (value) => (isNumber(value) ? `${(100 * value).toLocaleString('en', { maximumFractionDigits: 1 })} %` : NONE);
const clock = (date) => date.toLocaleTimeString('en-GB');
const moment = (text) => {
  const date = new Date(text ?? NaN);
  if (Number.isNaN(date.valueOf())) return String(text ?? NONE);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock(date) : `${date.toLocaleDateString('en-CA')} ${clock(date)}`;
};
function span(seconds) {
  if (!isNumber(seconds)) return NONE;
  const [size, unit] = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']].find(([least]) => seconds >= least) ?? [1, 's'];
  return `${(seconds / size).toLocaleString('en', { maximumFractionDigits: 1 })} ${unit}`;
}

// Elements.
function make(space, tag, attributes, children) {
  const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}
const el = (tag, attributes, ...children) => make(null, tag, attributes, children);
const bdi = (value) => el('bdi', {}, name(value));
const svg = (tag, attributes, ...children) => make('http://www.w3.org/2000/svg', tag, attributes, children);
const sub = (...words) => el('span', { class: 'sub' }, ...words);

function mark(state, words) {
  const [symbol, word] = STATES[known(state)];
  return el('span', { class: 'state', 'data-state': known(state) },
    el('span', { class: 'chip', 'aria-hidden': 'true' }, symbol), el('span', { class: 'word' }, words ?? word));
}

const classes = (column) => [column.number && 'number', column.head && 'first', column.class].filter(Boolean).join(' ') || null;
// Explicit roles: a row that is shown as a card would otherwise be no row to a screen reader.
const cell = (column, ...children) => el(column.head ? 'th' : 'td', {
  class: classes(column),
  role: column.head ? 'rowheader' : 'cell', scope: column.head ? 'row' : null, 'data-label': column.title,
}, ...children);
const row = (columns, cells) => el('tr', { role: 'row' }, ...columns.map((column, at) => cell(column, ...[cells[at]].flat())));
function table(caption, columns, rows, kind = 'cards') {
  const titles = columns.map((column) => el('th', { scope: 'col', role: 'columnheader', class: classes(column) }, column.title));
  return el('table', { class: kind, role: 'table' }, el('caption', {}, caption),
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...titles)), el('tbody', { role: 'rowgroup' }, ...rows));
}

// Charts; what they say in words is their label.
function spark(values, what, limit) {
  const numbers = values.filter(isNumber);
  const label = numbers.length
    ? `${what}, ${plural(numbers.length, 'value')}: first ${decimal(numbers[0])}, last ${decimal(numbers.at(-1))}, highest ${decimal(Math.max(...numbers))}`
    : `${what}: no values yet`;
  const top = Math.max(...numbers, limit ?? 0, 1e-9) * 1.05;
  const x = (at) => (values.length > 1 ? (100 * at) / (values.length - 1) : 50).toFixed(2);
  const y = (value) => (24 * (1 - Math.max(0, value) / top)).toFixed(2);
  const path = values.map((value, at) => {
    if (!isNumber(value)) return '';
    return isNumber(values[at - 1]) ? `L${x(at)} ${y(value)}` : `M${x(at)} ${y(value)}`;
  }).join('');
  const last = values.findLastIndex(isNumber);
  return svg('svg', { class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    isNumber(limit) ? svg('line', { class: 'limit', x1: 0, x2: 100, y1: y(limit), y2: y(limit) }) : null,
    svg('path', { class: 'line', d: path }),
    last >= 0 ? svg('path', { class: 'dot', d: `M${x(last)} ${y(values[last])}h0` }) : null);
}
function gauge(value, limit, label) {
  const share = Math.min(1, Math.max(0, value / limit || 0));
  return svg('svg', { class: 'gauge', viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    svg('rect', { class: 'fill-line', width: 100, height: 10 }), svg('rect', { class: 'fill-current', width: 100 * share, height: 10 }));
}
function bars(bins, label) {
  const top = Math.max(1e-9, ...bins.flatMap(({ share, reference }) => [share ?? 0, reference ?? 0]));
  const bar = (kind, x, share, y = 100 * (1 - (share ?? 0) / top)) => svg('rect', { class: kind, x, y, width: 4, height: 100 - y });
  const groups = bins.map((bin, at) => svg('g', {},
    svg('title', {}, `${bin.label}: reference ${percent(bin.reference)}, now ${percent(bin.share)}`),
    bar('fill-reference', 10 * at + 0.8, bin.reference), bar('fill-current', 10 * at + 5.2, bin.share)));
  return [el('p', { class: 'axis' }, percent(top)),
    svg('svg', { class: 'bars', viewBox: `0 0 ${10 * bins.length} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, ...groups),
    el('p', { class: 'axis' }, el('span', {}, bins[0]?.label ?? ''), el('span', {}, bins.length > 1 ? bins.at(-1).label : ''))];
}

// Asking.
const PATHS = ['status', 'ready', 'drift', 'samples'];
const answers = {};
const silent = {};
const opened = Date.now();
const rates = [];
let earlier = null;
let timer = null;
let isAsking = false;

async function ask(path) {
  const response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
  // A service that is not ready says so with 503 and tells why.
  if (!response.ok && path !== 'ready') throw new Error(`answered ${response.status}`);
  const text = await response.text();
  // The same answer stays the same object, by which the page knows that there is nothing to draw.
  if (answers[path]?.text !== text) answers[path] = { text, body: JSON.parse(text) ?? {} };
  answers[path].at = new Date();
}
async function poll() {
  if (isAsking) return;
  isAsking = true;
  pause();
  const begun = performance.now();
  const results = await Promise.allSettled(PATHS.map(ask));
  PATHS.forEach((path, at) => {
    silent[path] = results[at].status === 'rejected' ? answers[path]?.at ?? new Date(opened) : null;
  });
  if (!silent.status) measure(answers.status.body.events?.consumed);
  const took = performance.now() - begun;
  isAsking = false;
  // Answers that take long are not asked for more often than they can be given.
  if (!document.hidden) timer = setTimeout(poll, Math.max(ASK_EVERY, 5 * took));
  try {
    draw();
  } catch (error) {
    console.error(error);
    show('unknown', 'This page does not understand what the service answers', [`${error}`]);
  }
}
function pause() {
  clearTimeout(timer);
  timer = null;
}
function measure(consumed) {
  const now = { consumed, at: performance.now() };
  // Fewer than before: it is another process now.
  if (earlier && isNumber(consumed) && consumed >= earlier.consumed) {
    rates.push((1000 * (consumed - earlier.consumed)) / (now.at - earlier.at));
    rates.splice(0, rates.length - RATES_KEPT);
  }
  earlier = isNumber(consumed) ? now : null;
}

// The verdict.
const rowsOf = (drift) => [...(drift?.features ?? []), ...(drift?.outputs ?? [])];
const stateOf = (entry) => worst(known(entry.state), known(entry.missing?.state ?? 'quiet'));
const hasAlarm = ({ evidence, alarm_at: limit }) => isNumber(evidence) && isNumber(limit) && evidence >= limit;
const named = (model) => `${model.name ?? ''} ${model.version ?? ''}`.trim();

function judge(status, ready, drift) {
  if (silent.status) {
    return ['unknown', `No answer since ${clock(silent.status)}`, [answers.status ? 'What is below is from then.' : 'Nothing was heard of the service since this page was opened.', 'The page goes on asking.']];
  }
  const notes = [];
  for (const path of PATHS) if (silent[path]) notes.push(`No answer of /${path} since ${clock(silent[path])}.`);
  if (status.events?.balanced === false) return ['alert', 'The books do not balance', ['An event has no outcome: this is an error in Eddy, please report it.', ...notes]];
  if (silent.ready) return ['unknown', 'Not known whether it is ready', notes];
  if (!ready.ready) {
    const causes = (ready.causes ?? []).map(({ condition, detail, seconds }) => `${inline(condition)}: ${detail}, for ${span(seconds)}`);
    const phase = ready.causes?.[0]?.detail;
    if (phase === 'starting' || phase === 'draining') return ['catching_up', phase === 'starting' ? 'Starting' : 'Draining: it ends in order', [...causes, ...notes]];
    return ['alert', 'Not ready', [...causes, ...notes]];
  }
  if (silent.drift) return ['unknown', 'Ready; drift is not known', notes];
  const [state, headline, more] = judgeDrift(drift);
  return [state, headline, [...more, ...notes]];
}
function judgeDrift(drift) {
  switch (drift.state) {
    case 'off': return ['unknown', 'Ready; drift is not watched', ['It is switched off in the pipeline file.']];
    case 'no_profile': return ['unknown', 'Ready; drift is not watched: there is no reference profile', [
      el('span', {}, 'Make one from training data with ', el('code', {}, 'eddy profile pipeline.toml --data train.csv'),
        ', or from a healthy span of the stream itself with ', el('code', {}, '--since 2d --until 1d'), '.')]];
    case 'catching_up': return ['catching_up', 'Ready, and catching up; drift is judged after that', [`${plural(drift.lag, 'event')} behind.`]];
    case 'watching': return judgeRows(drift);
    default: return ['unknown', `Ready; drift is in a state that this page does not know: ${drift.state}`, []];
  }
}
function judgeRows(drift) {
  const rows = rowsOf(drift);
  const parts = [[drift.features ?? [], 'feature'], [drift.outputs ?? [], 'output']];
  const having = (state) => parts.map(([list, word]) => [list.filter((entry) => stateOf(entry) === state).length, list.length, word])
    .filter(([some]) => some).map(([some, all, word]) => `${count(some)} of ${plural(all, word)}`);
  const models = drift.models ?? [];
  const embeddings = (state) => models.filter(({ embedding }) => embedding && known(embedding.state) === state).map((model) => `the embeddings of ${inline(named(model))}`);
  const moved = (state) => and.format([...having(state), ...embeddings(state)]);
  const [alerts, warnings] = ['alert', 'warning'].map(moved);
  const unsure = models.filter(hasAlarm).map((model) => `Confidence of ${inline(named(model))} is lower than in the reference`);
  const judged = rows.filter((entry) => ['quiet', 'warning', 'alert'].includes(stateOf(entry))).length;
  const open = rows.length - judged;
  const notes = [];
  if (alerts && unsure.length) notes.push(...unsure.map((words) => `${words}.`));
  if (warnings && (alerts || unsure.length)) notes.push(`A warning for ${warnings}.`);
  const few = rows.filter((entry) => stateOf(entry) === 'insufficient_data').length;
  if (open) notes.push(`${both(open)} cannot be judged yet${few === open ? ': too few events' : ''}.`);
  if (drift.left_out?.length) notes.push(`Not watched, because drift.max_series is reached: ${drift.left_out.slice(0, 10).map(inline).join(', ')}${drift.left_out.length > 10 ? ` and ${count(drift.left_out.length - 10)} more` : ''}.`);
  if (alerts) return ['alert', `Drift in ${alerts}`, notes];
  if (unsure.length) return ['alert', unsure.join('; '), notes];
  if (warnings) return ['warning', `Signs of drift in ${warnings}`, notes];
  if (!rows.length) return ['unknown', 'Ready; there is nothing to watch for drift', notes];
  if (!judged) return ['insufficient_data', few === open ? 'Ready; too few events yet to judge drift' : 'Ready; drift cannot be judged', notes];
  const unclear = open || models.some(({ embedding }) => embedding && known(embedding.state) !== 'quiet');
  if (unclear) return ['insufficient_data', `Ready; no drift in what can be judged: ${count(judged)} of ${both(rows.length)}`, notes];
  return ['quiet', 'All is well: ready, and nothing has drifted', notes];
}

// Drawing. A part is drawn again when what it shows has changed, and only then.
const drawn = new Map();
function redraw(id, source, build) {
  const text = JSON.stringify(source) ?? '';
  if (drawn.get(id) === text) return;
  drawn.set(id, text);
  place(id).replaceChildren(...[build()].flat());
}
function show(state, headline, notes) {
  const [symbol] = STATES[known(state)];
  place('verdict').dataset.state = state;
  place('verdict-symbol').textContent = symbol;
  // A live region speaks at each change, so it is left alone without one.
  if (place('headline').textContent !== headline) place('headline').textContent = headline;
  redraw('notes', notes.map((note) => note.textContent ?? note), () => notes.map((note) => el('li', {}, note)));
  document.title = `${symbol} ${headline} – ${inline(answers.status?.body.pipeline ?? 'Eddy')}`;
}
function draw() {
  const [status, ready, drift, samples] = PATHS.map((path) => answers[path]?.body ?? {});
  const [state, headline, notes] = judge(status, ready, drift);
  show(state, headline, notes);
  const window = drift.window?.events ? `last ${count(drift.window.events)} events` : `last ${span(drift.window?.seconds)}`;
  place('asof').textContent = answers.status
    ? `As of ${clock(answers.status.at)}${drift.evaluated ? `; drift of the ${window}, judged at ${moment(drift.evaluated)}, in this replica's own view` : ''}`
    : '';
  place('pipeline').textContent = status.pipeline ?? '';
  place('version').textContent = status.version ? `version ${status.version}` : '';
  for (const section of document.querySelectorAll('[data-of]')) {
    section.toggleAttribute('data-old', section.dataset.of.split(' ').some((path) => silent[path]));
  }
  drawStream(status, drift);
  drawModels(status.models ?? [], drift.models ?? []);
  drawDrift(drift);
  drawSamples(samples.samples ?? []);
}

function drawStream(status, drift) {
  const events = status.events ?? {};
  const figures = [['Consumed', count(events.consumed)], ['Predicted', count(events.predicted)], ['Dead-lettered', count(events.dead_lettered)],
    ['Abandoned', count(events.abandoned)], ['In flight', count(events.in_flight)], ['Lag', count(drift.lag)],
    ['Books', events.balanced === undefined ? NONE : mark(events.balanced ? 'quiet' : 'alert', events.balanced ? 'balance' : 'do not balance')]];
  const rate = rates.length ? count(rates.at(-1)) : NONE;
  redraw('figures', [events, drift.lag, rates], () => [
    el('div', { class: 'wide' }, el('dt', {}, 'Events per second'), el('dd', { class: 'flow' }, rate, spark(rates, 'Events per second'))),
    ...figures.map(([title, value]) => el('div', {}, el('dt', {}, title), el('dd', {}, value)))]);
  const columns = [{ title: 'Lane', head: true }, { title: 'Partitions' }, { title: 'Consumed', number: true }, { title: 'In flight', number: true }, { title: 'Held' }];
  const lanes = status.lanes ?? [];
  redraw('skips', status.skips, () => (status.skips?.length ? `Told to skip: ${status.skips.map(inline).join(', ')}` : ''));
  redraw('lanes', lanes, () => (lanes.length ? table('Lanes of this replica', columns, lanes.map((lane, at) => row(columns, [
    `lane ${at}`, lane.partitions?.join(', ') || 'none', count(lane.events?.consumed), count(lane.events?.in_flight),
    lane.paused?.length ? lane.paused.map(({ cause, why, seconds }) => el('span', {}, mark('warning', cause), sub(` ${why}, for ${span(seconds)} `))) : 'no',
  ]))) : []));
}

function drawModels(loaded, watched) {
  const columns = [{ title: 'Model', head: true }, { title: 'Runs on' }, { title: 'Evidence of lower confidence' }, { title: 'Changes of confidence', number: true }, { title: 'Embedding drift' }];
  const facts = new Map(watched.map((model) => [named(model), model]));
  const models = loaded.length ? loaded : watched;
  redraw('models', [loaded, watched], () => {
    if (!models.length) return el('p', { class: 'quiet' }, 'No model is loaded yet.');
    return table('Evidence is the logarithm of what the detector holds against “confidence is as in the reference”', columns, models.map((model) => {
      const seen = facts.get(named(model)) ?? {};
      const evidence = `${decimal(seen.evidence, 2)} of ${decimal(seen.alarm_at, 2)}`;
      const { embedding } = seen;
      return row(columns, [
        [bdi(model.name), ' ', sub(`version ${model.version ?? NONE}`)],
        [model.provider ?? NONE, model.fell_back ? sub(` fell back: ${model.fell_back}`) : null],
        isNumber(seen.evidence) ? [mark(hasAlarm(seen) ? 'alert' : 'quiet'), ' ', gauge(seen.evidence, seen.alarm_at, `evidence ${evidence}`), sub(evidence)] : 'not measured',
        count(seen.changes),
        embedding ? [mark(embedding.state), sub(` ${decimal(embedding.distance)}, critical from ${decimal(embedding.critical)}`)] : 'not measured',
      ]);
    }));
  });
}

function drawSamples(samples) {
  const columns = [{ title: 'Event', head: true, class: 'whole' }, { title: 'At', class: 'whole' }, { title: 'Model', class: 'whole' }, { title: 'Class', class: 'whole' }, { title: 'Confidence', number: true }, { title: 'Why' }];
  redraw('samples', samples, () => (samples.length
    ? table('What the arms selected last, newest first', columns, samples.map((sample) => row(columns, [
      bdi(sample.event), moment(sample.at), bdi(sample.model), bdi(sample.class), percent(sample.confidence),
      [...(sample.arms ?? []).map((arm) => (Object.hasOwn(WHY, arm) ? `${arm}: ${WHY[arm]}` : inline(arm))).join('; '), sub(` ${Object.entries(sample.signals ?? {}).map(([signal, value]) => `${inline(signal)} ${decimal(value)}`).join(', ')}`)],
    ])))
    : el('p', { class: 'quiet' }, 'None yet. What the model doubts, and a share drawn at random, appears here when it is selected.')));
}

// Features and outputs.
const COLUMNS = [{ title: 'Name', head: true, class: 'name' }, { title: 'State', class: 'plain' }, { title: 'PSI', number: true }, { title: 'Noise', number: true }, { title: 'Critical', number: true },
  { title: 'JS', number: true }, { title: 'Missing', number: true }, { title: 'Events', number: true }, { title: 'PSI so far' }];
const expanded = new Set();
const rows = new Map();
const view = { isWhole: false, filter: '', seen: null, order: [], body: null };

function listed(drift) {
  const entries = rowsOf(drift).map((entry) => {
    const segment = typeof entry.segment === 'string' ? ` where ${inline(entry.segment)}` : '';
    const title = name(entry.name ?? entry.output) + segment;
    const of = entry.name === undefined ? `output of ${inline(entry.model)} ${inline(entry.version)}` : `${entry.kind ?? 'feature'}`;
    const key = JSON.stringify([entry.name, entry.model, entry.version, entry.output, entry.profile, entry.segment]);
    const excess = isNumber(entry.psi) ? entry.psi - (entry.noise ?? 0) : -Infinity;
    return { entry, title, of, key, excess, state: stateOf(entry), place: Infinity };
  });
  // Rows do not move under whoever reads them.
  if (view.body?.contains(document.activeElement)) {
    const places = new Map(view.order.map((key, at) => [key, at]));
    for (const item of entries) item.place = places.get(item.key) ?? Infinity;
  }
  const before = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return entries.sort((a, b) => before(a.place, b.place) || RANKS.indexOf(a.state) - RANKS.indexOf(b.state) || before(b.excess, a.excess) || before(a.title, b.title));
}
function drawDrift(drift) {
  const asked = JSON.stringify([view.isWhole, view.filter, [...expanded]]);
  if (view.seen?.[0] === drift && view.seen[1] === asked) return;
  view.seen = [drift, asked];
  const all = listed(drift);
  place('filter-line').hidden = all.length < FILTER_FROM;
  const wanted = view.filter.toLowerCase();
  const found = all.filter(({ title, of }) => !wanted || `${title} ${of}`.toLowerCase().includes(wanted));
  const visible = found.filter(({ key }, at) => view.isWhole || at < ROWS_SHOWN || expanded.has(key));
  place('matches').textContent = wanted ? `${count(found.length)} of ${count(all.length)}` : `${count(all.length)} in all`;
  const isLong = found.length > ROWS_SHOWN;
  place('all').hidden = !isLong;
  place('all').textContent = view.isWhole ? `Show the worst ${count(ROWS_SHOWN)} only` : `Show all ${count(found.length)}`;
  if (!all.length) {
    const words = { off: 'Drift is not watched.', no_profile: 'There is no reference profile to compare with.' };
    view.body = null;
    place('features').replaceChildren(el('p', { class: 'quiet' }, words[drift.state] ?? 'Nothing is watched yet.'));
    return;
  }
  if (!view.body) {
    const caption = `Worst first. PSI says how far the distribution is from the reference’s; noise is what chance alone makes of it, and above the critical value it is more than chance. A name opens its distribution.`;
    const whole = table(caption, COLUMNS, []);
    view.body = whole.tBodies[0];
    place('features').replaceChildren(whole);
  }
  const wantedRows = visible.flatMap((item) => drawRow(item));
  const keep = new Set(visible.map(({ key }) => key));
  for (const key of rows.keys()) if (!keep.has(key)) rows.delete(key);
  view.order = visible.map(({ key }) => key);
  const isSame = wantedRows.length === view.body.children.length && wantedRows.every((tr, at) => tr === view.body.children[at]);
  if (!isSame) arrange(wantedRows);
}
// Moves only what is not in its place, so that what has the focus keeps it.
function arrange(wanted) {
  const stays = new Set(wanted);
  for (const child of [...view.body.children]) if (!stays.has(child)) child.remove();
  let next = view.body.firstElementChild;
  for (const tr of wanted) {
    if (tr === next) next = next.nextElementSibling;
    else view.body.insertBefore(tr, next);
  }
}
function drawRow(item) {
  let made = rows.get(item.key);
  if (!made) {
    made = newRow(item);
    rows.set(item.key, made);
  }
  const text = JSON.stringify(item.entry);
  if (made.text !== text) {
    made.text = text;
    made.inside = '';
    while (made.row.children.length > 1) made.row.lastElementChild.remove();
    made.row.append(...cellsOf(item).map((content, at) => cell(COLUMNS[at + 1], ...[content].flat())));
  }
  const isOpen = expanded.has(item.key);
  made.button.setAttribute('aria-expanded', isOpen);
  if (!isOpen) {
    made.button.removeAttribute('aria-controls');
    return [made.row];
  }
  made.button.setAttribute('aria-controls', made.detail.id);
  if (made.inside !== text) {
    made.inside = text;
    made.detail.firstElementChild.replaceChildren(detail(item));
  }
  return [made.row, made.detail];
}
function newRow({ title, of, key }) {
  const button = el('button', { type: 'button', class: 'open' }, bdi(title));
  const tr = el('tr', { role: 'row', class: 'row' }, cell(COLUMNS[0], button, sub(of)));
  const turn = () => {
    if (!expanded.delete(key)) expanded.add(key);
    draw();
  };
  tr.addEventListener('click', ({ target }) => {
    // Whoever marks text to copy it does not mean to open the row.
    if (target.closest('button') || !String(getSelection())) turn();
  });
  newRow.made = (newRow.made ?? 0) + 1;
  const inside = el('tr', { role: 'row', class: 'detail', id: `detail-${newRow.made}` }, el('td', { role: 'cell', colspan: COLUMNS.length }));
  return { row: tr, button, detail: inside, text: '', inside: '' };
}
const REASONS = { missing: 'missing values', invalid: 'infinite values', out_of_range: 'out of range', as_last_week: 'as last week' };
function cellsOf({ entry, state }) {
  const { missing } = entry;
  const needs = state === 'insufficient_data' && isNumber(entry.need) ? ` of ${count(entry.need)}` : '';
  const isMissing = known(missing?.state ?? 'quiet') === state && known(entry.state) !== state;
  const why = (isMissing ? ['missing'] : entry.reasons ?? []).filter((reason) => Object.hasOwn(REASONS, reason)).map((reason) => REASONS[reason]);
  return [
    mark(state, why.length ? `${STATES[state][1]}: ${why.join(', ')}` : null),
    decimal(entry.psi), decimal(entry.noise), decimal(entry.critical), decimal(entry.statistics?.js),
    missing ? [percent(missing.ratio), sub(` usually ${percent(missing.reference)}`)] : NONE,
    [count(entry.events), sub(needs, isNumber(entry.seconds) ? ` in ${span(entry.seconds)}` : '')],
    spark(entry.history ?? [], 'PSI', entry.critical),
  ];
}
function binsOf({ bins = [], kind }) {
  const total = bins.reduce((sum, { current }) => sum + (current ?? 0), 0);
  return bins.map(({ label, current, reference }, at) => {
    const edge = label === '+Inf' ? (at ? `> ${bins[at - 1].label}` : 'all') : `≤ ${label}`;
    return { label: kind === 'category' ? short(label) : edge, reference, share: total && isNumber(current) ? current / total : null, current };
  });
}
function detail({ entry, title, of }) {
  const bins = binsOf(entry);
  const change = (bin) => (isNumber(bin.share) && isNumber(bin.reference) ? bin.share - bin.reference : null);
  const most = bins.reduce((a, b) => (Math.abs(change(b) ?? 0) > Math.abs(change(a ?? {}) ?? 0) ? b : a), bins[0]);
  const columns = [{ title: entry.kind === 'category' ? 'Word' : 'Bin', head: true }, { title: 'Reference', number: true }, { title: 'Now', number: true }, { title: 'Events', number: true }, { title: 'Change', number: true, class: 'derived' }];
  const signed = (value) => (isNumber(value) && value > 0 ? '+' : '') + percent(value);
  const facts = [['PSI', decimal(entry.psi)], ['noise', decimal(entry.noise)], ['critical', decimal(entry.critical)],
    ...Object.entries(entry.statistics ?? {}).map(([word, value]) => [Object.hasOwn(STATISTICS, word) ? STATISTICS[word] : word, decimal(value)]),
    ['missing', entry.missing ? `${percent(entry.missing.ratio)}, usually ${percent(entry.missing.reference)}` : NONE], ['invalid', count(entry.invalid)], ['below all of the reference', count(entry.below)], ['above all of the reference', count(entry.above)], ['profile', entry.profile ?? NONE],
  ].filter(([, value]) => value !== NONE);
  const words = most ? `Shares of ${plural(bins.length, 'bin')}. The largest change: ${inline(most.label)}, from ${percent(most.reference)} to ${percent(most.share)}` : '';
  const key = (kind, word) => [el('span', { class: `key ${kind}`, 'aria-hidden': 'true' }), word];
  return el('div', { class: 'inside' },
    el('h3', { class: 'whole' }, bdi(title), ' ', sub(of)),
    el('dl', { class: 'facts whole' }, ...facts.map(([word, value]) => el('div', {}, el('dt', {}, word), el('dd', {}, value)))),
    bins.length ? el('figure', {}, el('figcaption', {}, 'Share of events', ...key('reference', 'reference'), ...key('current', 'now')), ...bars(bins, words), el('p', { class: 'quiet' }, `${words}.`)) : null,
    bins.length ? table('The same in figures', columns, bins.map((bin) => row(columns, [bdi(bin.label), percent(bin.reference), percent(bin.share), count(bin.current), signed(change(bin))])), 'bins') : null,
    el('figure', { class: 'whole' }, el('figcaption', {}, `PSI at the last ${plural((entry.history ?? []).length, 'evaluation')}${isNumber(entry.critical) ? '; dashed: the critical value' : ''}`), spark(entry.history ?? [], 'PSI', entry.critical)));
}

place('filter').addEventListener('input', ({ target }) => {
  view.filter = target.value;
  draw();
});
place('all').addEventListener('click', () => {
  view.isWhole = !view.isWhole;
  draw();
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) pause();
  else if (timer === null) poll();
});
poll();
