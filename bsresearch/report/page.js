// Draws each figure whose data stand beside it, with buttons for the x axis and a legend that switches curves.
// The PNG below goes once its curves are there, and stays where anything fails.
(() => {
  'use strict';
  const FONT = getComputedStyle(document.body).fontFamily;
  const model = (name, fields) => new (Bokeh.Models.get(name))(fields);
  const finite = (value) => value !== null && Number.isFinite(value);

  const button = (text, pressed, click) => {
    const made = document.createElement('button');
    made.type = 'button';
    made.textContent = text;
    made.setAttribute('aria-pressed', pressed);
    made.addEventListener('click', () => click(made));
    return made;
  };

  const axis = (log, label) => model(log ? 'LogAxis' : 'LinearAxis', {
    axis_label: label, axis_label_text_font_style: 'normal', axis_label_text_font_size: '12px', axis_label_text_font: FONT,
    major_label_text_font_size: '11px', major_label_text_font: FONT, minor_tick_line_color: null, axis_line_color: '#888', major_tick_line_color: '#888',
    formatter: model('NumeralTickFormatter', { format: '0,0.[0000]' }), major_label_policy: model('NoOverlap', {}),
  });

  const plot = (panel, data, index, x) => {
    const cells = data.cells;
    const logX = x === 'updates';
    const curves = cells.map((cell) => cell.curves[index]);
    const figure = model('Plot', {
      sizing_mode: 'stretch_width', height: data.panels.length > data.columns ? 225 : 290, toolbar_location: null, background_fill_color: '#fff',
      border_fill_color: '#fff', outline_line_color: null, min_border_right: 14,
      x_range: model('DataRange1d', { range_padding: 0.02 }), y_range: model('Range1d', { start: panel.ends[0], end: panel.ends[1] }),
      x_scale: model(logX ? 'LogScale' : 'LinearScale', {}), y_scale: model(panel.log ? 'LogScale' : 'LinearScale', {}),
    });
    const below = axis(logX, data.names[x]), left = axis(panel.log, panel.label);
    figure.add_layout(below, 'below');
    figure.add_layout(left, 'left');
    for (const [dimension, of] of [[0, below], [1, left]]) {
      figure.add_layout(model('Grid', { axis: of, dimension, grid_line_color: '#e7e9ec' }));
    }
    if (panel.title) {
      figure.add_layout(model('Title', { text: panel.title, text_font: FONT, text_font_size: '12px', align: 'center' }), 'above');
    }
    const hovered = [];
    cells.forEach((cell, i) => {
      const curve = curves[i];
      if (cell.hidden || !curve.mean || !curve[x]) return;
      const kept = curve[x].map((v, k) => k).filter((k) => finite(curve[x][k]) && finite(curve.mean[k]) && (!logX || curve[x][k] > 0));
      const column = (name) => kept.map((k) => curve[name][k]);
      const look = { line_color: cell.colour, line_width: 2, line_dash: cell.dash };
      const add = (data, glyph) => {
        const renderer = model('GlyphRenderer', { data_source: model('ColumnDataSource', { data }), glyph });
        figure.add_renderers(renderer);
        return renderer;
      };
      const banded = kept.filter((k) => finite(curve.low[k]) && finite(curve.high[k]) && (!panel.log || curve.high[k] > 0));
      const band = (name) => banded.map((k) => (panel.log ? Math.max(curve[name][k], figure.y_range.start) : curve[name][k]));
      if (banded.length > 1) {
        add({ x: banded.map((k) => curve[x][k]), low: band('low'), high: band('high') },
          model('VArea', { x: { field: 'x' }, y1: { field: 'low' }, y2: { field: 'high' }, fill_color: cell.colour, fill_alpha: 0.16 }));
      }
      const interval = kept.map((k) => (finite(curve.low[k]) ? `${curve.low[k]} to ${curve.high[k]}` : 'none'));
      const points = { x: column(x), y: column('mean'), cell: kept.map(() => cell.label), interval };
      // One evaluation is a point: a line through it shows nothing.
      const glyph = kept.length > 1 ? model('Line', { x: { field: 'x' }, y: { field: 'y' }, ...look })
        : model('Scatter', { x: { field: 'x' }, y: { field: 'y' }, size: 8, fill_color: cell.colour, line_color: null });
      hovered.push(add(points, glyph));
    });
    figure.add_tools(model('HoverTool', {
      renderers: hovered, mode: 'mouse', line_policy: 'nearest',
      tooltips: [['', '@cell'], [data.names[x], '@x'], [panel.label, '@y'], ['95 %', '@interval']],
    }));
    return figure;
  };

  const show = async (figure) => {
    const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const { Document } = Bokeh.require('document');
    const plots = figure.querySelector('.plots'), axes = figure.querySelector('.axes'), legend = figure.querySelector('.legend');
    const known = Object.keys(data.names).filter((x) => data.cells.some((cell) => cell.curves.some((c) => c[x] && c[x].some(finite))));
    let x = known.includes(data.x) ? data.x : known[0];
    plots.style.setProperty('--columns', data.columns);
    const draw = async () => {
      const old = [...plots.children];
      for (const [index, panel] of data.panels.entries()) {
        const place = document.createElement('div');
        plots.append(place);
        const page = new Document();
        page.add_root(plot(panel, data, index, x));
        await Bokeh.embed.add_document_standalone(page, place);
      }
      old.forEach((place) => place.remove());
    };
    figure.classList.add('live');
    try {
      await draw();
    } catch (error) {
      figure.classList.remove('live');
      throw error;
    }
    axes.append(...known.map((name) => button(name, name === x, (pressed) => {
      x = name;
      axes.querySelectorAll('button').forEach((b) => b.setAttribute('aria-pressed', b === pressed));
      draw();
    })));
    legend.append(...data.cells.map((cell) => {
      const entry = button('', true, (pressed) => {
        cell.hidden = !cell.hidden;
        pressed.setAttribute('aria-pressed', !cell.hidden);
        draw();
      });
      const line = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      const dashes = { dashed: '7 3', dotted: '2 2', dotdash: '7 3 2 3' };
      line.setAttribute('viewBox', '0 0 26 6');
      line.innerHTML = `<path d="M0 3H26" stroke="${cell.colour}" stroke-width="3" stroke-dasharray="${dashes[cell.dash] || (Array.isArray(cell.dash) ? cell.dash.join(' ') : '')}"/>`;
      entry.append(line, cell.label);
      return entry;
    }));
  };

  document.querySelectorAll('figure.curves').forEach((figure) => show(figure));
})();
