// The page's script. It takes updates (history.go has their form): one from the document, if it holds a run, or else from
// the server for as long as the run lasts; and draws what they say.
'use strict';
(() => {
const $ = id => document.getElementById(id);
const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// As the terminal writes numbers: three digits or, from 1,000 on, all.
function number(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return '–';
  const a = Math.abs(v);
  if (a >= 1e7) return v.toExponential(2);
  if (a >= 100) return v.toFixed(0);
  if (a !== 0 && a < 1e-4) return v.toExponential(2);
  return String(Number(v.toPrecision(3)));
}

const run = { about: null, now: null, points: [], heldOut: [], perLevel: null, pictures: [], notes: [], time: '' };
const last = list => list[list.length - 1];

function take(u) {
  if (u.whole) {
    run.about = u.about;
    run.points = [];
    run.heldOut = [];
  }
  if (u.lists) {
    run.pictures = u.pictures || [];
    run.notes = u.notes || [];
  }
  run.points.push(...(u.points || []));
  run.heldOut.push(...(u.heldOut || []));
  run.perLevel = u.heldOutPerLevel || run.perLevel;
  run.now = u.now;
  run.time = u.time;
  const drawn = u.whole || u.lists || (u.points || []).length > 0 || (u.heldOut || []).length > 0;
  words();
  if (drawn) draw();
  document.documentElement.dataset.updates = String(Number(document.documentElement.dataset.updates || 0) + 1);
}

// What stands in words: where the run is.
function words() {
  const { about, now } = run;
  set('name', about.name || 'sigmaz');
  $('phase').classList.remove('lost');
  set('phase', now.phase);
  set('steps', now.steps ? `step ${now.step}/${now.steps}` : '\u00a0');
  $('bar').value = now.steps ? now.step / now.steps : 0;
  const percent = now.steps ? `${Math.floor(100 * now.step / now.steps)} % ` : '';
  document.title = `${percent}${about.name || 'sigmaz'}`;
  set('n-loss', now.loss || (run.points.length ? number(last(run.points).loss) : '–'));
  set('n-held', now.heldOut || (run.heldOut.length ? number(last(run.heldOut).loss) : '–'));
  set('n-rate', now.rate || '–');
  set('n-left', now.left || '–');
  set('n-memory', now.memory || '–');
}

// Charts. A chart is made anew where its form changes, and gets new data otherwise.
const charts = {};
let logarithmic = false;

function axis(size, extra) {
  return Object.assign({
    stroke: color('--faint'), labelSize: 16, size, font: '12px system-ui, sans-serif', labelFont: '12px system-ui, sans-serif',
    grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line'), width: 1, size: 5 },
  }, extra);
}

const line = (label, stroke, extra) => Object.assign({
  label, stroke: color(stroke), width: 1.6, spanGaps: true, points: { show: false }, value: (u, v) => number(v),
}, extra);
const dots = (label, stroke) => line(label, stroke, { width: 0, paths: () => null, points: { show: true, size: 6, fill: color(stroke), stroke: color(stroke) } });

function chart(id, form, series, x, y, data) {
  const at = $(id);
  let c = charts[id];
  if (c && (c.form !== form || !data[0].length)) {
    c.plot.destroy();
    c = undefined;
    delete charts[id];
  }
  if (!data[0].length) return;
  const width = at.clientWidth, height = at.clientHeight - (width < 430 && series.length > 2 ? 60 : 32); // the legend is below
  if (c) {
    if (c.plot.width !== width) c.plot.setSize({ width, height });
    c.plot.setData(data);
    idle(c);
    return;
  }
  const plot = new uPlot({
    width, height, series, axes: [x.axis, y.axis], scales: { x: Object.assign({ time: false }, x.scale), y: y.scale || {} },
    legend: { live: true }, cursor: { drag: { x: true, y: false } },
  }, data, at);
  c = charts[id] = { plot, form };
  plot.over.addEventListener('mouseleave', () => idle(c));
  idle(c);
}

// The legend has the last values while nobody points at others. uPlot draws, and clears it, in a microtask.
function idle(c) {
  setTimeout(() => {
    const u = c.plot;
    if (charts[u.root.parentNode?.id] !== c || u.cursor.left >= 0) return;
    u.setLegend({ idxs: u.data.map(values => values.findLastIndex(v => v !== null && v !== undefined)) });
  });
}

// Arrow keys move a chart's cursor.
for (const id of ['loss', 'level', 'rate', 'ladder']) {
  $(id).addEventListener('keydown', e => {
    const c = charts[id], by = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[e.key];
    if (!c || !by) return;
    e.preventDefault();
    const u = c.plot, n = u.data[0].length;
    c.at = Math.max(0, Math.min(n - 1, (c.at === undefined ? (by < 0 ? n : -1) : c.at) + by));
    u.setCursor({ left: u.valToPos(u.data[0][c.at], 'x'), top: u.over.clientHeight / 2 });
  });
}

// Steps as axes have them: 1500, 20k, 1.5M.
function short(v) {
  const a = Math.abs(v);
  return a >= 1e6 ? `${+(v / 1e6).toPrecision(4)}M` : a >= 1e4 ? `${+(v / 1e3).toPrecision(4)}k` : String(+v.toPrecision(4));
}
const steps = () => ({ axis: axis(28, { label: 'step', values: (u, all) => all.map(short) }) });
const linear = () => ({ axis: axis(56, { values: (u, all) => all.map(v => (v === null ? '' : number(v))) }) });

// A logarithmic axis has lines at the powers of ten, and at 2 and 5 times them where there is room.
function log() {
  const lead = v => String(+v.toPrecision(1)).replace(/^0\.0*/, '').replace(/e.*/, '')[0];
  const few = (u, all) => {
    const decades = all.length ? Math.log10(all[all.length - 1] / all[0]) : 0;
    return all.map(v => (v === null || !(lead(v) === '1' || (decades < 3 && (lead(v) === '2' || lead(v) === '5'))) ? null : v));
  };
  const a = axis(56, { filter: few, values: (u, all) => all.map(v => (v === null ? '' : number(v))) });
  a.grid.filter = a.ticks.filter = few;
  return { axis: a, scale: { distr: 3 } };
}

function drawLoss() {
  const at = new Map();
  for (const p of run.points) at.set(p.step, [p.loss, null]);
  for (const h of run.heldOut) at.set(h.step, [(at.get(h.step) || [null])[0], h.loss]);
  const rows = [...at].sort((a, b) => a[0] - b[0]);
  const y = logarithmic ? log() : linear();
  chart('loss', `${logarithmic}${theme}`, [{ label: 'step', value: (u, v) => (v === null ? '–' : String(v)) }, line('loss', '--one'), dots('held-out', '--two')],
    steps(), y, [rows.map(r => r[0]), rows.map(r => r[1][0]), rows.map(r => r[1][1])]);
}

// The name of a level, or of a bin.
function level(i) {
  const { bins, binWidth, sigmas } = run.about;
  if (bins) return `ln sigma ${+(i * binWidth).toFixed(2)} to ${+((i + 1) * binWidth).toFixed(2)}`;
  return sigmas[i] === undefined ? `level ${i}` : `level ${i}, sigma ${number(sigmas[i])}`;
}

function drawLevel() {
  const p = run.points.findLast(q => q.levels.length > 0);
  const { bins, binWidth } = run.about;
  const x = [], now = [], held = [];
  if (p) {
    p.levels.forEach((v, i) => {
      x.push(p.first + i);
      now.push(v);
      held.push(!bins && run.perLevel ? run.perLevel[p.first + i] ?? null : null);
    });
  }
  const xs = { axis: axis(28,
    { label: bins ? 'ln sigma' : 'level (0: the largest sigma)', values: (u, all) => all.map(v => (v !== Math.round(v) ? '' : bins ? String(+(v * binWidth).toFixed(2)) : String(v))) }) };
  const series = [{ label: bins ? 'ln sigma' : 'level', value: (u, v) => (v === null ? '–' : level(v).replace(/^level /, '').replace(/^ln sigma /, '')) },
    line('loss', '--one')];
  set('level-step', p ? `step ${p.step}` : '');
  if (!bins) series.push(line('held-out', '--two'));
  const data = bins ? [x, now] : [x, now, held];
  chart('level', `${theme}${bins}`, series, xs, linear(), data);
}

function drawRate() {
  const rows = run.about.rows || 'images';
  set('rate-head', `${rows}/s`);
  const y = linear();
  y.scale = { range: (u, min, max) => [0, (max || 1) * 1.08] };
  chart('rate', theme + rows, [{ label: 'step', value: (u, v) => (v === null ? '–' : String(v)) }, line(`${rows}/s`, '--one')], steps(), y,
    [run.points.map(p => p.step), run.points.map(p => p.rate)]);
}

function drawLadder() {
  const s = run.about.sigmas || [];
  const x = { axis: axis(28, { label: 'level', values: (u, all) => all.map(v => (v === Math.round(v) ? String(v) : '')) }) };
  chart('ladder', `${theme}${s.length}`, [{ label: 'level', value: (u, v) => (v === null ? '–' : String(v)) }, line('sigma', '--one', { points: { show: s.length < 60, size: 4 } })],
    x, log(), [s.map((v, i) => i), s]);
}

// The heat map: a column for each line, as wide as its steps, and a row for each level or bin; the colour is the loss on
// a log scale. The ramp is matplotlib's viridis (public domain) at five places.
const ramp = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
function shade(t) {
  const x = Math.max(0, Math.min(1, t)) * (ramp.length - 1), i = Math.min(Math.floor(x), ramp.length - 2), f = x - i;
  return ramp[i].map((a, k) => Math.round(a + f * (ramp[i + 1][k] - a)));
}
const heat = { columns: [], low: 0, high: 0, x: 0, y: 0 };

function drawHeat() {
  const columns = run.points.filter(p => p.levels.length > 0);
  heat.columns = columns;
  const canvas = $('heat'), wide = canvas.clientWidth, tall = canvas.clientHeight, dots = window.devicePixelRatio || 1;
  const w = canvas.width = Math.max(1, Math.round(wide * dots)), h = canvas.height = Math.max(1, Math.round(tall * dots));
  if (!columns.length) return;
  let low = Infinity, high = -Infinity;
  const all = [];
  for (const p of columns) {
    low = Math.min(low, p.first);
    high = Math.max(high, p.first + p.levels.length - 1);
    for (const v of p.levels) if (v > 0) all.push(v);
  }
  all.sort((a, b) => a - b);
  const least = all[Math.floor(0.005 * all.length)] || 1, most = Math.max(all[Math.ceil(0.995 * all.length) - 1] || 1, least * 1.0001);
  const scale = 1 / Math.log(most / least);
  const from = before(columns), to = last(columns).step;
  Object.assign(heat, { low, high, from, to });
  const g = canvas.getContext('2d'), image = g.createImageData(w, h);
  let k = 0;
  for (let x = 0; x < w; x++) {
    const step = from + (to - from) * (x + 0.5) / w;
    while (k < columns.length - 1 && columns[k].step < step) k++;
    const p = columns[k];
    for (let y = 0; y < h; y++) {
      const v = p.levels[row(y / h) - p.first];
      if (!(v > 0)) continue;
      const c = shade(Math.log(v / least) * scale), at = 4 * (y * w + x);
      image.data[at] = c[0];
      image.data[at + 1] = c[1];
      image.data[at + 2] = c[2];
      image.data[at + 3] = 255;
    }
  }
  g.putImageData(image, 0, 0);
  const bins = run.about.bins, name = i => (bins ? `ln σ ${+(i * run.about.binWidth).toFixed(2)}` : `level ${i}`);
  // The largest sigma is on top: level 0, or the last bin.
  set('heat-top', name(bins ? high + 1 : low));
  set('heat-bottom', name(bins ? low : high));
  set('heat-from', short(from));
  set('heat-to', short(to));
  set('heat-low', `loss ${number(least)}`);
  set('heat-high', number(most));
  const r = $('ramp'), rg = r.getContext('2d');
  r.width = 256;
  r.height = 1;
  for (let x = 0; x < 256; x++) {
    rg.fillStyle = `rgb(${shade(x / 255)})`;
    rg.fillRect(x, 0, 1, 1);
  }
}

// The step before the first of some columns: where it begins, as far as is known.
function before(columns) {
  return columns.length > 1 ? Math.max(0, columns[0].step - (columns[1].step - columns[0].step)) : 0;
}

// The level or bin at a height of 0 to 1.
function row(y) {
  const n = heat.high - heat.low + 1, i = Math.min(n - 1, Math.floor(y * n));
  return run.about.bins ? heat.high - i : heat.low + i;
}

function readHeat(x, y) {
  if (!heat.columns.length) return;
  const step = heat.from + (heat.to - heat.from) * Math.max(0, Math.min(1, x));
  const p = heat.columns.find(q => q.step >= step) || last(heat.columns), i = row(Math.max(0, Math.min(0.9999, y)));
  set('heat-text', `step ${p.step}, ${level(i)}: loss ${number(p.levels[i - p.first])}`);
}
$('heat').addEventListener('pointermove', e => readHeat(e.offsetX / e.target.clientWidth, e.offsetY / e.target.clientHeight));
$('heat').addEventListener('keydown', e => {
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
  if (!by || !heat.columns.length) return;
  e.preventDefault();
  const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));
  const n = heat.columns.length, m = heat.high - heat.low + 1;
  heat.x = clamp((heat.x ?? n) + by[0], n);
  heat.y = clamp(heat.y + by[1], m);
  const p = heat.columns[heat.x];
  readHeat((p.step - heat.from) / (heat.to - heat.from || 1) - 1e-9, (heat.y + 0.5) / m);
});

// Previews: the newest, unless somebody looks at an older one.
let chosen = null;
function drawShots() {
  const n = run.pictures.length, range = $('which');
  if (!n) return;
  let i = chosen === null ? n - 1 : run.pictures.findIndex(p => p.step >= chosen);
  if (i < 0) i = n - 1;
  const p = run.pictures[i], image = $('shot');
  range.disabled = n < 2;
  range.max = String(n - 1);
  range.value = String(i);
  range.setAttribute('aria-valuetext', `step ${p.step}`);
  set('which-step', String(p.step));
  image.alt = `samples after step ${p.step}`;
  image.classList.toggle('plot', p.width > 600);
  image.width = p.width;
  image.height = p.height;
  if (image.getAttribute('src') !== p.url) image.src = p.url;
  image.hidden = false;
}
$('which').addEventListener('input', e => {
  const i = Number(e.target.value);
  chosen = i === run.pictures.length - 1 ? null : run.pictures[i].step;
  drawShots();
});

function drawLists() {
  const items = (at, all, make) => at.replaceChildren(...all.flatMap(make));
  const text = (tag, s) => Object.assign(document.createElement(tag), { textContent: s });
  $('notes-box').hidden = !run.notes.length;
  items($('notes'), run.notes, n => [text('li', n)]);
  items($('about'), [['folder', run.about.folder], ...(run.about.lines || [])], l => [text('dt', l[0]), text('dd', l[1])]);
  const held = new Map(run.heldOut.map(h => [h.step, h.loss]));
  items($('rows'), run.points.slice(-20).reverse(), p => {
    const tr = document.createElement('tr');
    tr.append(text('td', String(p.step)), text('td', number(p.loss)), text('td', held.has(p.step) ? number(held.get(p.step)) : ''), text('td', number(p.rate)));
    return [tr];
  });
  const most = Math.max(1, ...run.points.map(p => p.lines));
  set('source', `From metrics.jsonl${run.about.folder ? ` of ${run.about.folder}` : ''}${most > 1 ? `; a point of a chart is the mean of up to ${most} of its lines` : ''}.`);
}

let theme = '';
function draw() {
  if (!run.about) return;
  theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  for (const f of [drawLoss, drawLevel, drawHeat, drawShots, drawRate, drawLadder, drawLists]) f();
}
$('log').addEventListener('click', () => {
  logarithmic = !logarithmic;
  $('log').setAttribute('aria-pressed', String(logarithmic));
  draw();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
let frame = 0;
addEventListener('resize', () => {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(draw);
});

const held = JSON.parse($('data').textContent);
if (held) {
  take(held);
  return;
}
const source = new EventSource('events');
source.onmessage = e => {
  take(JSON.parse(e.data));
  if (run.now.over) source.close();
};
source.onerror = () => {
  $('phase').classList.add('lost');
  set('phase', source.readyState === EventSource.CLOSED ? 'the server does not answer: reload to try again' : 'no connection to the training: trying again');
};
})();
