// The course over the years: FEV1, oxygen saturation and drug levels on one time axis. Every number
// comes from the service; nothing is computed here but places on the screen.
import uPlot from 'uplot';
import { element, table } from './dom.js';

const seconds = (day) => Date.parse(`${day}T00:00:00Z`) / 1000;
const round = (value, digits = 2) => Number(value.toFixed(digits)).toString();
const UNITS = {
  litres: { label: 'litres', axis: 'FEV1, L', digits: 2 },
  percent: { label: '% predicted', axis: 'FEV1, % predicted', digits: 1 },
  z: { label: 'z-score', axis: 'FEV1, z-score', digits: 2 },
};
// Distinguished by shape as well as by colour.
const KINDS = [
  ['bronchodilator not stated', 'circle', '--series-1'],
  ['pre-bronchodilator', 'square', '--series-2'],
  ['post-bronchodilator', 'triangle', '--series-3'],
];
const CONTEXTS = [
  ['at rest or not stated', 'circle', '--series-1', (r) => r.activity !== 'exertion' && r.air !== 'supplemental oxygen'],
  ['exertion', 'triangle', '--series-2', (r) => r.activity === 'exertion' && r.air !== 'supplemental oxygen'],
  ['on supplemental oxygen', 'square', '--series-3', (r) => r.air === 'supplemental oxygen'],
];
const DRUGS = [
  ['sirolimus', 'circle', '--series-1'],
  ['everolimus', 'triangle', '--series-2'],
];

/** A colour of the style sheet as the canvas understands it, for the scheme that is in force. */
function color(name) {
  const probe = document.body.appendChild(element('span'));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Draws a point as circle, square or triangle. */
function points(shape, fill) {
  return (plot, index) => {
    const { ctx } = plot;
    const [xs, ys] = [plot.data[0], plot.data[index]];
    ctx.save();
    ctx.fillStyle = fill;
    const size = 4 * devicePixelRatio;
    for (let i = 0; i < xs.length; i += 1) {
      if (ys[i] === null || ys[i] === undefined) continue;
      const x = plot.valToPos(xs[i], 'x', true);
      const y = plot.valToPos(ys[i], 'y', true);
      ctx.beginPath();
      if (shape === 'circle') ctx.arc(x, y, size, 0, 2 * Math.PI);
      else if (shape === 'square') ctx.rect(x - size, y - size, 2 * size, 2 * size);
      else {
        ctx.moveTo(x, y - 1.3 * size);
        ctx.lineTo(x + 1.2 * size, y + size);
        ctx.lineTo(x - 1.2 * size, y + size);
      }
      ctx.fill();
    }
    ctx.restore();
    return null;
  };
}

/** Treatment as shaded periods, events as upright lines, thresholds as level ones. */
function backdrop(view, limits) {
  return {
    hooks: {
      drawClear: (plot) => {
        const { ctx } = plot;
        const { left, top, width, height } = plot.bbox;
        const at = (day) => Math.min(left + width, Math.max(left, plot.valToPos(seconds(day), 'x', true)));
        ctx.save();
        ctx.beginPath();
        ctx.rect(left, top, width, height);
        ctx.clip();
        ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
        ctx.textBaseline = 'top';
        for (const use of view.medications) {
          if (!use.from) continue;
          const [start, end] = [at(use.from), use.to ? at(use.to) : use.current ? left + width : at(use.from)];
          ctx.fillStyle = color('--treatment');
          ctx.fillRect(start, top, Math.max(end - start, 2), height);
          ctx.fillStyle = color('--quiet');
          ctx.fillText(use.drug, start + 4, top + 4);
        }
        for (const event of view.events) {
          if (!event.day) continue;
          const x = at(event.day);
          ctx.strokeStyle = color('--critical');
          ctx.setLineDash([6, 4]);
          ctx.beginPath();
          ctx.moveTo(x, top);
          ctx.lineTo(x, top + height);
          ctx.stroke();
          ctx.fillStyle = color('--critical');
          ctx.save();
          ctx.translate(x + 3, top + height - 4);
          ctx.rotate(-Math.PI / 2);
          ctx.fillText(event.label, 0, 0);
          ctx.restore();
        }
        for (const [low, high] of limits) {
          const [y1, y2] = [plot.valToPos(high, 'y', true), plot.valToPos(low, 'y', true)];
          ctx.setLineDash([]);
          ctx.strokeStyle = color('--limit');
          ctx.fillStyle = color('--target');
          ctx.lineWidth = 1.5 * devicePixelRatio;
          if (low !== high) ctx.fillRect(left, y1, width, y2 - y1);
          for (const y of low === high ? [y1] : [y1, y2]) {
            ctx.beginPath();
            ctx.moveTo(left, y);
            ctx.lineTo(left + width, y);
            ctx.stroke();
          }
        }
        ctx.restore();
      },
    },
  };
}

/** All series on one list of days, as the library wants them. */
function aligned(series) {
  const days = [...new Set(series.flatMap((s) => s.values.map(([day]) => day)))].sort((a, b) => a - b);
  const columns = series.map((s) => {
    const known = new Map(s.values);
    return days.map((day) => known.get(day) ?? null);
  });
  return [days, ...columns];
}

function plot(place, panel, range) {
  const digits = range[1] - range[0] > 6 * 365 * 86400 ? 4 : range[1] - range[0] > 180 * 86400 ? 7 : 10;
  const iso = (_, moments) => moments.map((moment) => new Date(moment * 1000).toISOString().slice(0, digits));
  const axis = { stroke: color('--ink'), grid: { stroke: color('--rule'), width: 1 }, ticks: { stroke: color('--rule') } };
  const drawn = panel.series.filter((s) => s.values.length);
  const values = drawn.flatMap((s) => s.values.map(([, value]) => value));
  for (const [low, high] of panel.limits) values.push(low, high);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const margin = (most - least || 1) * 0.08;
  const options = {
    width: Math.max(280, place.clientWidth),
    height: panel.height,
    legend: { show: false },
    cursor: { sync: { key: 'course' }, drag: { x: false, y: false } },
    scales: { x: { time: true, range }, y: { range: [least - margin, most + margin] } },
    tzDate: (moment) => uPlot.tzDate(new Date(moment * 1000), 'UTC'),
    axes: [{ ...axis, values: iso, space: 70 }, { ...axis, label: panel.axis, size: 56, labelSize: 18 }],
    series: [
      {},
      ...drawn.map((s) =>
        s.shape
          ? { label: s.label, stroke: color(s.color), width: 1, dash: [4, 4], spanGaps: true, points: { show: points(s.shape, color(s.color)) } }
          : { label: s.label, stroke: s.hidden ? 'transparent' : color('--ink'), width: s.hidden ? 0 : 2, spanGaps: true, points: { show: false } },
      ),
    ],
    bands: panel.band && drawn.length >= 2 ? [{ series: [drawn.length, drawn.length - 1], fill: color('--band') }] : [],
    plugins: [backdrop(panel.view, panel.limits)],
  };
  return new uPlot(options, aligned(drawn), place);
}

const limitsOf = (view, ...names) => names.map((name) => [view.thresholds[name].low, view.thresholds[name].high]);

function fev1Panel(view, unit) {
  const series = KINDS.map(([kind, shape, paint]) => ({
    label: kind, shape, color: paint,
    values: view.fev1
      .filter((test) => test[unit] !== undefined && (test.kind ?? KINDS[0][0]) === kind)
      .map((test) => [seconds(test.day), test[unit]]),
  }));
  const trend = view.trends[0];
  const limits = unit === 'percent' ? limitsOf(view, 'fev1-for-mtor-inhibitor', 'fev1-for-transplant-referral') : [];
  const band = unit === 'litres' && trend?.band;
  if (unit === 'litres' && trend) {
    series.push({ label: 'slope', values: trend.line.map((p) => [seconds(p.day), p.litres]) });
    if (band) {
      series.push({ label: 'lower limit', hidden: true, values: band.map((p) => [seconds(p.day), p.low]) });
      series.push({ label: 'upper limit', hidden: true, values: band.map((p) => [seconds(p.day), p.high]) });
    }
  }
  return { view, series, limits, band: Boolean(band), axis: UNITS[unit].axis, height: 300 };
}

function saturationPanel(view) {
  const series = CONTEXTS.map(([label, shape, paint, belongs]) => ({
    label, shape, color: paint,
    values: view.saturation.filter(belongs).map((r) => [seconds(r.day), r.value]),
  }));
  return { view, series, limits: limitsOf(view, 'spo2-rest-for-oxygen'), axis: 'SpO2, %', height: 200 };
}

function levelPanel(view) {
  const series = DRUGS.map(([label, shape, paint]) => ({
    label, shape, color: paint,
    values: view.levels.filter((l) => l.drug === label).map((l) => [seconds(l.day), l.value]),
  }));
  return { view, series, limits: limitsOf(view, 'trough-target'), axis: 'Level, ng/mL', height: 200 };
}

/** The trend in words, as the service computed it. */
export function trendInWords(trend) {
  const between = trend.interval ? ` (95 % CI ${trend.interval[0]} to ${trend.interval[1]})` : '';
  const sure = trend.established ? '' : '; too few tests or too short a time to act on';
  return `${round(trend.millilitresPerYear, 3)} mL a year${between}, ${trend.tests} tests from ${trend.first} to ${trend.last}, ${trend.kind}${sure}`;
}

function key(series) {
  const list = element('ul', '', 'key');
  for (const s of series) {
    if (!s.shape || !s.values.length) continue;
    const item = element('li', s.label, `mark ${s.shape} ${s.color.slice(2)}`);
    list.append(item);
  }
  return list;
}

function section(title, text, panel, range, values, plots) {
  const made = element('section', '', 'course');
  made.append(element('h3', title));
  const place = element('div', '', 'plot');
  if (!panel.series.some((s) => s.values.length)) {
    made.append(element('p', text, 'missing'));
    return made;
  }
  place.setAttribute('role', 'img');
  place.setAttribute('aria-label', `${title}. ${text} The table below holds every value.`);
  made.append(element('p', text, 'told'), key(panel.series), place, values);
  plots.push(() => plot(place, panel, range));
  return made;
}

function details(made, count) {
  const box = element('details');
  box.append(element('summary', `Table of ${count} values`), made);
  return box;
}

const span = (values, what) => {
  if (!values.length) return '';
  const [first, last] = [values[0], values[values.length - 1]];
  return `${what(first)} on ${first.on}${first === last ? '' : `, ${what(last)} on ${last.on}`}.`;
};

/** The range of days of everything that is drawn. */
function rangeOf(view) {
  const days = [
    ...[...view.fev1, ...view.saturation, ...view.levels, ...view.events].map((v) => v.day),
    ...view.medications.flatMap((use) => [use.from, use.to]),
    view.asOf,
  ].filter(Boolean).map(seconds);
  const [first, last] = [Math.min(...days), Math.max(...days)];
  const margin = Math.max((last - first) * 0.04, 30 * 86400);
  return [first - margin, last + margin];
}

function fev1Section(view, range, plots, redraw, state) {
  const chosen = state.unit;
  const known = view.fev1.filter((test) => test[chosen] !== undefined);
  const unit = UNITS[chosen];
  const told = [span(known, (test) => `${round(test[chosen], unit.digits)} ${unit.label}`)];
  if (chosen === 'percent') {
    told.push(`Lines at ${view.thresholds['fev1-for-mtor-inhibitor'].low} % (mTOR inhibitor) and ${view.thresholds['fev1-for-transplant-referral'].low} % (transplant referral).`);
  }
  if (chosen === 'litres' && view.trends[0]) told.push(`Slope ${trendInWords(view.trends[0])}.`);
  const rows = view.fev1.map((test) => [
    test.on,
    test.litres === undefined ? '' : String(test.litres),
    test.percent === undefined ? '' : String(test.percent),
    test.percentSource ?? '',
    test.z === undefined ? '' : String(test.z),
    test.kind ?? '',
    test.note ?? '',
    test.reference,
  ]);
  const values = details(
    table('Every FEV1', ['Date', 'L', '% predicted', '% is', 'z-score', 'Test', 'How', 'Record'], rows), rows.length,
  );
  const missing = view.fev1.length
    ? `No FEV1 in ${unit.label}: ${chosen === 'litres' ? 'no volume is on record.' : 'that needs a reported value, or sex, birth date and height.'}`
    : 'No usable FEV1 is on record. Values that could not be read are listed below.';
  const made = section('Lung function: FEV1', known.length ? told.filter(Boolean).join(' ') : missing,
    fev1Panel(view, chosen), range, values, plots);
  const choice = element('fieldset', '', 'units');
  choice.append(element('legend', 'Shown in'));
  for (const [name, { label }] of Object.entries(UNITS)) {
    const option = element('label');
    const input = element('input');
    Object.assign(input, { type: 'radio', name: 'unit', value: name, checked: name === chosen });
    input.addEventListener('change', () => {
      state.unit = name;
      redraw();
      document.querySelector(`input[name=unit][value=${name}]`)?.focus();
    });
    option.append(input, ` ${label}`);
    choice.append(option);
  }
  made.querySelector('h3').after(choice);
  return made;
}

function otherSections(view, range, plots) {
  const rest = view.thresholds['spo2-rest-for-oxygen'].low;
  const saturation = section(
    'Oxygen saturation',
    view.saturation.length
      ? `${span(view.saturation, (r) => `${r.value} % (${r.activity}, ${r.air})`)} Line at ${rest} %.`
      : 'No usable oxygen saturation is on record.',
    saturationPanel(view), range,
    details(table('Every saturation', ['Date', '%', 'Activity', 'Breathing', 'Record'],
      view.saturation.map((r) => [r.on, String(r.value), r.activity, r.air, r.reference])), view.saturation.length),
    plots,
  );
  const target = view.thresholds['trough-target'];
  const levels = section(
    'Level of the mTOR inhibitor',
    view.levels.length
      ? `${span(view.levels, (l) => `${l.drug} ${l.value} ${l.unit}`)} Shaded: target for sirolimus, ${target.low} to ${target.high} ng/mL.`
      : 'No level of sirolimus or everolimus is on record.',
    levelPanel(view), range,
    details(table('Every level', ['Date', 'Drug', 'Level', 'Record'],
      view.levels.map((l) => [l.on, l.drug, `${l.value} ${l.unit}`, l.reference])), view.levels.length),
    plots,
  );
  return [saturation, levels];
}

function treatment(view) {
  const rows = [
    ...view.medications.map((use) => [use.fromShown ?? 'not recorded', use.toShown ?? (use.current ? 'goes on' : 'not recorded'), use.drug, use.reference]),
    ...view.events.map((event) => [event.on ?? 'not recorded', '', event.label, event.reference]),
  ];
  if (!rows.length) return element('p', 'No mTOR inhibitor, pneumothorax or transplant event is on record.', 'missing');
  return table('Treatment and events, drawn behind each chart', ['From', 'To', 'What', 'Record'], rows);
}

/** Draws the whole course into `place`; drawn anew when its width or the colours change. */
export function showCourse(place, view) {
  const state = { unit: view.fev1.some((t) => t.percent !== undefined) ? 'percent' : 'litres' };
  let live = [];
  const draw = () => {
    for (const old of live) old.destroy();
    const plots = [];
    const range = rangeOf(view);
    place.replaceChildren(fev1Section(view, range, plots, draw, state), ...otherSections(view, range, plots), treatment(view));
    live = plots.map((make) => make());
  };
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(place.clientWidth - width) > 8) {
      width = place.clientWidth;
      draw();
    }
  }).observe(place);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  width = place.clientWidth;
  draw();
}
