// The page's script: sorts, filters and pages the table of trials; says what is under the pointer in charts and
// lanes; copies commands. Reads only the JSON in #data, asks nothing of the network, and puts every text into the
// page as text (textContent), never as markup. The page is complete without it.
(function () {
  'use strict';
  var data = JSON.parse(document.getElementById('data').textContent);
  var states = ['waiting', 'running', 'ok', 'failed', 'cancelled'];
  var OK = 2, FAILED = 3, ROWS = 100;
  var $ = function (id) { return document.getElementById(id); };
  var notes = {}, rowOf = {};
  for (var n = 0; n < data.notes.length; n += 2) notes[data.notes[n]] = data.notes[n + 1];
  data.number.forEach(function (number, i) { rowOf[number] = i; });

  function number(value, digits) {
    if (value === null || value === undefined) return '';
    if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
    var size = Math.abs(value);
    return String(size >= 1e-4 && size < 1e6 ? parseFloat(value.toPrecision(digits))
      : value.toExponential(digits - 1).replace(/\.?0+e/, 'e').replace('e+', 'e'));
  }
  function duration(us) {
    if (us < 1e3) return Math.round(us) + ' us';
    if (us < 999500) return parseFloat((us / 1e3).toPrecision(3)) + ' ms';
    if (us < 59.95e6) return parseFloat((us / 1e6).toPrecision(3)) + ' s';
    var s = Math.round(us / 1e6);
    if (s < 3600) return Math.floor(s / 60) + ' min ' + s % 60 + ' s';
    return Math.floor(s / 3600) + ' h ' + Math.floor(s / 60 % 60) + ' min';
  }
  function value(v, i) {
    var of = data.variables[v], x = data.values[v][i];
    if (x === null) return '';
    return of.choice ? of.choices[x] : number(x, 5);
  }
  function element(name, text, className) {
    var e = document.createElement(name);
    if (text !== undefined) e.textContent = text;
    if (className) e.className = className;
    return e;
  }

  // ---- table ----
  var table = $('table'), here = -1;
  if (table) (function () {
    var body = table.tBodies[0], heads = [].slice.call(table.tHead.rows[0].cells);
    var sort = 2, down = data.maximise, page = 0, order = [];
    function cell(column, i) { // what a column sorts by
      if (column === 0) return data.number[i];
      if (column === 1) return data.state[i];
      if (column === 2) return data.objective[i];
      if (column === 3) return data.end[i] > data.start[i] ? data.end[i] - data.start[i] : null;
      if (column - 4 < data.variables.length) {
        var x = data.values[column - 4][i];
        return x !== null && data.variables[column - 4].choice ? data.variables[column - 4].choices[x] : x;
      }
      return notes[i] || null;
    }
    function matches(i, word) {
      if (!word || String(data.number[i]) === word || states[data.state[i]] === word) return true;
      if (notes[i] && notes[i].toLowerCase().indexOf(word) >= 0) return true;
      return data.variables.some(function (of, v) {
        return value(v, i).toLowerCase().indexOf(word) >= 0;
      }) || (data.state[i] === OK && number(data.objective[i], 6).indexOf(word) === 0);
    }
    function row(i) {
      var tr = element('tr'), td;
      if (data.number[i] === data.best) tr.className = 'best';
      if (data.number[i] === here) tr.className = 'here';
      tr.appendChild(element('td', data.number[i]));
      td = element('td', undefined, 'left');
      td.appendChild(element('span', states[data.state[i]], 'state ' + states[data.state[i]]));
      tr.appendChild(td);
      tr.appendChild(element('td', number(data.objective[i], 6)));
      tr.appendChild(element('td', data.end[i] > data.start[i] ? duration(data.end[i] - data.start[i]) : ''));
      data.variables.forEach(function (of, v) { tr.appendChild(element('td', value(v, i), of.choice ? 'left' : '')); });
      tr.appendChild(element('td', notes[i] || '', 'left note'));
      return tr;
    }
    function show() {
      var part = document.createDocumentFragment(), last = Math.max(0, Math.ceil(order.length / ROWS) - 1);
      page = Math.min(page, last);
      order.slice(page * ROWS, (page + 1) * ROWS).forEach(function (i) { part.appendChild(row(i)); });
      body.textContent = '';
      body.appendChild(part);
      $('shown').textContent = order.length === data.number.length ? '' : order.length + ' shown';
      var pages = $('pages');
      pages.hidden = last === 0;
      pages.textContent = '';
      [['Back', -1], null, ['Next', 1]].forEach(function (step) {
        if (!step) {
          pages.appendChild(element('span', (page * ROWS + 1) + '\u2013' + Math.min(order.length, (page + 1) * ROWS) +
            ' of ' + order.length));
          return;
        }
        var button = element('button', step[0]);
        button.type = 'button';
        button.disabled = page + step[1] < 0 || page + step[1] > last;
        button.onclick = function () { page += step[1]; show(); table.scrollIntoView({ block: 'start' }); };
        pages.appendChild(button);
      });
    }
    function update() {
      var word = $('find').value.trim().toLowerCase(), only = $('filter').value;
      order = data.number.map(function (_, i) { return i; }).filter(function (i) {
        var state = data.state[i];
        return (!only || (only === 'other' ? state !== OK && state !== FAILED : states[state] === only)) && matches(i, word);
      });
      order.sort(function (a, b) { // rows without a value stay at the end, whichever way
        var x = cell(sort, a), y = cell(sort, b);
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        var less = typeof x === 'string' ? x.localeCompare(y) : x - y;
        return (down ? -less : less) || a - b;
      });
      heads.forEach(function (head, c) { head.setAttribute('aria-sort', c !== sort ? 'none' : down ? 'descending' : 'ascending'); });
      show();
    }
    heads.forEach(function (head, c) {
      var button = element('button', head.textContent);
      button.type = 'button';
      button.onclick = function () {
        down = c === sort ? !down : c === 2 && data.maximise;
        sort = c;
        page = 0;
        update();
      };
      head.textContent = '';
      head.appendChild(button);
    });
    $('filter').onchange = $('find').oninput = function () { page = 0; update(); };
    document.querySelector('#trials .tools').hidden = false;
    table.showTrial = function (trial) {
      here = trial;
      $('filter').value = '';
      $('find').value = '';
      update();
      page = Math.floor(Math.max(0, order.indexOf(rowOf[trial])) / ROWS);
      show();
      var at = body.querySelector('.here');
      if (at) at.scrollIntoView({ block: 'center' });
    };
    update();
  })();

  // ---- what is under the pointer ----
  var tip = $('tip');
  function say(event, title, lines) {
    tip.textContent = '';
    tip.appendChild(element('b', title));
    lines.forEach(function (line) {
      tip.appendChild(element('span', line));
      tip.appendChild(element('br'));
    });
    tip.hidden = false;
    var box = tip.getBoundingClientRect();
    var x = event.clientX + 14, y = event.clientY + 14;
    if (x + box.width > innerWidth - 6) x = Math.max(6, event.clientX - box.width - 14);
    if (y + box.height > innerHeight - 6) y = Math.max(6, event.clientY - box.height - 14);
    tip.style.transform = 'translate(' + x + 'px,' + y + 'px)';
  }
  function place(axis, x) {
    var at = axis[2] ? (Math.log(x) - Math.log(axis[0])) / (Math.log(axis[1]) - Math.log(axis[0]))
      : (x - axis[0]) / (axis[1] - axis[0]);
    return Math.min(1, Math.max(0, at));
  }
  function jitter(trial) { // as in page_slices.c
    var h = Math.imul(trial, 2654435761) >>> 0;
    h = (h ^ h >>> 15) >>> 0;
    return h % 1024 / 1023 - 0.5;
  }
  function describe(i) {
    var lines = [];
    if (data.state[i] === OK) lines.push(data.metric + ' ' + number(data.objective[i], 6));
    if (data.end[i] > data.start[i]) lines.push('took ' + duration(data.end[i] - data.start[i]));
    data.variables.slice(0, 14).forEach(function (of, v) {
      if (data.values[v][i] !== null) lines.push(of.name + ' = ' + value(v, i));
    });
    if (data.variables.length > 14) lines.push('\u2026');
    if (notes[i]) lines.push(notes[i].slice(0, 160));
    return lines;
  }
  [].forEach.call(document.querySelectorAll('.plot'), function (plot) {
    var svg = plot.querySelector('svg'), kind = plot.dataset.chart, v = +plot.dataset.v, points = null;
    var x = JSON.parse(plot.dataset.x), y = JSON.parse(plot.dataset.y), mark = element('div', undefined, 'cursor');
    mark.hidden = true;
    plot.appendChild(mark);
    function all() {
      var found = [];
      data.number.forEach(function (trial, i) {
        var ok = data.state[i] === OK, at;
        if (!ok && data.state[i] !== FAILED) return;
        if (kind === 'curve') at = trial;
        else if (kind === 'time') at = data.end[i] > data.start[i] ? data.end[i] / 1e6 : null;
        else at = data.values[v][i];
        if (at === null) return;
        at += +plot.dataset.spread * jitter(trial);
        found.push([place(x, at), ok ? 1 - place(y, data.objective[i]) : 0.985, i]);
      });
      return found;
    }
    function nearest(event) {
      var box = svg.getBoundingClientRect(), best = null, near = 24 * 24;
      points = points || all();
      points.forEach(function (p) {
        var dx = p[0] * box.width - (event.clientX - box.left), dy = p[1] * box.height - (event.clientY - box.top);
        if (dx * dx + dy * dy < near) { near = dx * dx + dy * dy; best = p; }
      });
      return best;
    }
    function leave() { tip.hidden = mark.hidden = true; svg.style.cursor = ''; }
    svg.addEventListener('pointermove', function (event) {
      var p = nearest(event);
      if (!p) return leave();
      mark.hidden = false;
      var box = svg.getBoundingClientRect(), outer = plot.getBoundingClientRect();
      mark.style.left = box.left - outer.left + p[0] * box.width + 'px';
      mark.style.top = box.top - outer.top + p[1] * box.height + 'px';
      svg.style.cursor = 'pointer';
      say(event, 'trial ' + data.number[p[2]] + (data.state[p[2]] === FAILED ? ' failed' : ''), describe(p[2]));
    });
    svg.addEventListener('pointerleave', leave);
    svg.addEventListener('click', function (event) {
      var p = nearest(event);
      if (p && table) { leave(); table.showTrial(data.number[p[2]]); }
    });
  });
  [].forEach.call(document.querySelectorAll('svg[data-lane]'), function (svg) {
    var lane = +svg.dataset.lane, e = data.executions;
    svg.addEventListener('pointermove', function (event) {
      var box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * data.elapsed;
      var slack = data.elapsed / box.width, found = -1, gap = slack;
      for (var k = 0; k < e.length; k += 7) {
        if (e[k] !== lane) continue;
        var away = at < e[k + 4] ? e[k + 4] - at : at > e[k + 5] ? at - e[k + 5] : 0;
        if (away <= gap) { gap = away; found = k; }
      }
      if (found < 0) { tip.hidden = true; return; }
      say(event, (data.stages[e[found + 1]] || 'stage') + (e[found + 6] ? ', failed' : ''),
        ['trial ' + e[found + 2] + (e[found + 3] > 1 ? ', attempt ' + e[found + 3] : ''),
          duration(e[found + 5] - e[found + 4]) + ', from ' + duration(e[found + 4])]);
    });
    svg.addEventListener('pointerleave', function () { tip.hidden = true; });
  });

  // ---- copy ----
  [].forEach.call(document.querySelectorAll('.copy'), function (button) {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.onclick = function () {
      navigator.clipboard.writeText(button.parentNode.querySelector('code').textContent).then(function () {
        button.textContent = 'Copied';
        setTimeout(function () { button.textContent = 'Copy'; }, 1500);
      });
    };
  });
})();
