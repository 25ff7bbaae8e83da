// The map: a row a place, a column a slice of time. Neighbours that look alike are one element, and rows are built in
// pages. One tab stop: the grid keeps the focus and tells assistive technology which cell its cursor is on.

const heat = data.heat;
const ROWS = 40; // rows built at a time
const COVER = { c: "covered", p: "partly in a gap", g: "in a gap", n: "no digest due yet", u: "not looked at: interrupted" };
const KINDS = ["change", "open", "notice"];
const map = { order: [], built: 0, row: -1, column: 0 };

function columnSpan(column) {
  const start = heat.start + column * heat.step;
  return [Math.max(start, heat.from), Math.min(start + heat.step, heat.to)];
}

function percent(tenths) {
  return `${tenths % 10 ? (tenths / 10).toFixed(1) : tenths / 10}%`;
}

function describe(row, column) {
  const mark = row.marks.find(([at]) => at === column) || [column, 0, 0, 0];
  const words = [COVER[row.cover[column]]];
  if (mark[1]) words.push(`${count(mark[1], "finding")} of change`);
  if (mark[2]) words.push(`${number(mark[2])} unverifiable`);
  if (mark[3]) words.push(count(mark[3], "notice"));
  return `${row.account} ${row.region}, ${span(...columnSpan(column))}: ${words.join(", ")}`;
}

function cell(kind, column, size) {
  const node = make("i", { class: kind });
  node.style.gridColumn = `${column + 1} / span ${size}`;
  return node;
}

function strip(row) {
  const node = make("div", { class: "strip" });
  for (let column = 0; column < heat.columns;) {
    let end = column + 1;
    while (end < heat.columns && row.cover[end] === row.cover[column]) end += 1;
    node.append(cell(row.cover[column], column, end - column));
    column = end;
  }
  for (const [column, ...counts] of row.marks) {
    node.append(cell(`mark ${KINDS[counts.findIndex((value) => value)]}`, column, 1));
  }
  return node;
}

function rowNode(index) {
  const row = heat.rows[index];
  const head = make("div", { class: "name", role: "rowheader" },
    make("span", {}, row.account), " ", make("span", {}, row.region));
  return make("div", { class: "row", role: "row", "data-row": index }, head, strip(row),
    make("div", { class: "share", role: "gridcell" }, percent(row.proven)),
    make("div", { class: row.totals[0] ? "share change" : "share", role: "gridcell" },
      number(row.totals[0] + row.totals[1])));
}

function ticks() {
  // At most ten, at moments that people count in.
  const total = heat.columns * heat.step;
  const unit = [3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600].find((one) => total / one <= 10);
  const list = [];
  let previous = null;
  for (let column = 0; column < heat.columns; column += 1) {
    const [start] = columnSpan(column);
    const date = new Date((heat.start + column * heat.step) * 1000);
    const mark = unit
      ? Math.floor((heat.start + column * heat.step) / unit)
      : `${date.getUTCFullYear()}-${Math.floor(date.getUTCMonth() / (total > 31536000 ? 12 : total > 15552000 ? 3 : 1))}`;
    if (mark !== previous && (previous !== null || column === 0)) list.push([column, label(start, unit, list.length)]);
    previous = mark;
  }
  return list.filter(([column], i) => column <= heat.columns * 0.93
    && (i === 0 || column - list[i - 1][0] >= heat.columns / 14));
}

function label(seconds, unit, place) {
  const date = new Date(seconds * 1000);
  if (unit && unit < 86400 && place && date.getUTCHours()) return date.toISOString().slice(11, 16);
  const options = { timeZone: "UTC", month: "short", day: "numeric" };
  if (!unit) options.year = "numeric";
  return date.toLocaleDateString("en-GB", options);
}

function axis() {
  const strip = make("div", { class: "strip axis", "aria-hidden": "true" });
  for (const [column, text] of ticks()) {
    const node = cell("tick", column, 1);
    node.textContent = text;
    strip.append(node);
  }
  return make("div", { class: "row", role: "presentation" },
    make("div", { class: "name" }), strip, make("div", { class: "share" }, "proven"),
    make("div", { class: "share" }, "findings"));
}

function build(size) {
  const grid = byId("grid");
  const end = Math.min(map.order.length, map.built + size);
  for (; map.built < end; map.built += 1) grid.append(rowNode(map.order[map.built]));
  const left = map.order.length - map.built;
  byId("map-more").hidden = left === 0;
  byId("map-more").textContent = `Show ${number(Math.min(ROWS, left))} more places of ${number(left)}`;
}

function arrange() {
  const words = byId("map-search").value.toLowerCase().split(/\s+/).filter((word) => word);
  map.order = heat.rows.map((_, index) => index)
    .filter((index) => words.every((word) => `${heat.rows[index].account} ${heat.rows[index].region}`.includes(word)));
  if (byId("map-byname").checked) {
    const name = (index) => `${heat.rows[index].account} ${heat.rows[index].region}`;
    map.order.sort((a, b) => (name(a) < name(b) ? -1 : 1));
  }
  map.built = 0;
  map.row = -1;
  byId("grid").replaceChildren(axis());
  byId("grid").setAttribute("aria-rowcount", map.order.length);
  build(ROWS);
}

function say(text) {
  byId("map-say").textContent = text;
}

function cursor(place, column) {
  // Put the cursor on the cell in the `place`-th row of what is drawn.
  byId("cursor")?.remove();
  map.row = Math.max(0, Math.min(map.order.length - 1, place));
  map.column = Math.max(0, Math.min(heat.columns - 1, column));
  if (map.row >= map.built) build(ROWS);
  const index = map.order[map.row];
  const row = byId("grid").querySelector(`[data-row="${index}"]`);
  if (!row) return;
  const text = describe(heat.rows[index], map.column);
  const node = cell("cursor", map.column, 1);
  node.id = "cursor";
  node.setAttribute("role", "gridcell");
  node.setAttribute("aria-label", text);
  row.querySelector(".strip").append(node);
  byId("grid").setAttribute("aria-activedescendant", "cursor");
  row.scrollIntoView({ block: "nearest" });
  say(text);
}

function chainRow(chain) {
  const told = ([valid, altered, missing, extra, unverifiable]) => [
    `${number(valid)} valid`, altered && `${number(altered)} altered`, missing && `${number(missing)} missing`,
    extra && `${number(extra)} extra`, unverifiable && `${number(unverifiable)} unverifiable`,
  ].filter((part) => part).join(", ");
  const name = `${chain.trail}${chain.kind === "backfill" ? " (backfill)" : ""}`;
  return make("tr", {}, make("th", { scope: "row", "data-name": "Trail" }, name),
    make("td", { "data-name": "Digests" }, told(chain.digests)), make("td", { "data-name": "Logs" }, told(chain.logs)));
}

function select(index, first = 0, last = heat.columns - 1) {
  // Show one place, or one cell of it, and only its findings. `index` null: everything again.
  const detail = byId("detail");
  apply({ row: index, first, last });
  detail.hidden = index === null;
  if (index === null) return;
  const row = heat.rows[index];
  const [start] = columnSpan(first);
  const [, end] = columnSpan(last);
  const gaps = row.chains.flatMap((chain) => chain.gaps.map((gap) => [chain, ...gap]))
    .filter(([, , from, to]) => from < end && start < to);
  const inside = findings.filter((one) => one.row === index && one.first <= last && one.last >= first).length;
  detail.replaceChildren(make("div", {},
    make("h3", {}, `${row.account} ${row.region}, ${span(start, end)} UTC`),
    row.chains.length
      ? make("table", { class: "folds" },
        make("thead", {}, make("tr", {}, ...["Trail", "Digests, whole window", "Logs, whole window"].map((name) =>
          make("th", { scope: "col" }, name)))),
        make("tbody", {}, ...row.chains.map(chainRow)))
      : make("p", {}, "No digest chain at all."),
    gaps.length
      ? make("ul", {}, ...gaps.slice(0, 50).map(([, rule, from, to, logs]) => make("li", {}, make("code", {}, rule),
        ` ${span(from, to)} UTC (${length(to - from)}), ${count(logs, "undigested log")}`)))
      : make("p", {}, "No gap here."),
    gaps.length > 50 ? make("p", { class: "muted" }, `and ${count(gaps.length - 50, "more gap")}`) : null,
    make("p", {}, make("button", { type: "button", id: "show", onclick: () => {
      byId("findings").scrollIntoView();
      byId("findings-title").focus({ preventScroll: true });
    }, disabled: inside === 0 }, inside ? `Show its ${count(inside, "finding")}` : "No findings here"), " ",
    make("button", { type: "button", onclick: () => select(null) }, "Clear")),
  ));
}

function hit(event) {
  const row = event.target.closest("[data-row]");
  if (!row) return null;
  const box = row.querySelector(".strip").getBoundingClientRect();
  const inside = event.clientX >= box.left && event.clientX < box.right;
  const column = inside ? Math.floor((event.clientX - box.left) / box.width * heat.columns) : null;
  return [Number(row.dataset.row), column];
}

function click(event) {
  const found = hit(event);
  if (!found) return;
  const [index, column] = found;
  cursor(map.order.indexOf(index), column ?? map.column);
  if (column === null) select(index);
  else select(index, column, column);
}

function keydown(event) {
  const moves = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0],
    Home: [0, -heat.columns], End: [0, heat.columns],
  };
  if (event.key in moves) {
    const [rows, columns] = moves[event.key];
    if (map.row < 0) cursor(0, 0);
    else cursor(map.row + rows, map.column + columns);
  } else if ((event.key === "Enter" || event.key === " ") && map.row >= 0) {
    select(map.order[map.row], map.column, map.column);
  } else if (event.key === "Escape") {
    select(null);
  } else {
    return;
  }
  event.preventDefault();
}

function startMap() {
  if (!heat.rows.length) return;
  const grid = byId("grid");
  byId("map").hidden = false;
  grid.style.setProperty("--columns", heat.columns);
  grid.addEventListener("click", click);
  grid.addEventListener("keydown", keydown);
  // Only for the keyboard: a click knows its own cell, and must not be scrolled away before it lands.
  grid.addEventListener("focus", () => map.row < 0 && grid.matches(":focus-visible") && cursor(0, 0));
  grid.addEventListener("mousemove", (event) => {
    const found = hit(event);
    if (found && found[1] !== null) say(describe(heat.rows[found[0]], found[1]));
  });
  byId("map-more").addEventListener("click", () => build(ROWS));
  byId("map-search").addEventListener("input", arrange);
  byId("map-byname").addEventListener("change", arrange);
  arrange();
  const left = heat.left_out ? `, ${number(heat.left_out)} more without a row here` : "";
  say(`${count(heat.rows.length, "place")}, worst first${left}`);
}

startFindings();
startMap();
