"use strict";
// The list of findings: filtered by status, rule, words, place and time; built in pages, so that thousands of findings
// cost nothing until somebody asks for them. Text reaches the page as text nodes only.

const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 50; // findings built at a time
const PRINTED = 500; // findings on paper
const NAMES = [
  "rule", "status", "account", "region", "trail", "where", "cause", "expected", "actual", "message", "start", "end",
  "row", "first", "last", "explained",
];
const findings = data.findings.map((values) => Object.fromEntries(values.map((value, i) => [NAMES[i], value])));
const filter = { statuses: new Set(), rule: null, words: "", row: null, first: 0, last: 0 };
let matching = [];
let shown = 0;

function byId(id) {
  return document.getElementById(id);
}

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function number(value) {
  return value.toLocaleString("en-US");
}

function count(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function stamp(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
}

function span(start, end) {
  // Both ends, the day said once where it is the same.
  const a = stamp(start);
  const b = stamp(end);
  return a.slice(0, 10) === b.slice(0, 10) ? `${a}–${b.slice(11)}` : `${a} – ${b}`;
}

function length(seconds) {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const minutes = Math.round((seconds % 3600) / 60);
  const parts = [[days, "d"], [hours, "h"], [minutes, "min"]].filter(([value]) => value);
  return parts.slice(0, 2).map(([value, unit]) => `${number(value)} ${unit}`).join(" ") || `${seconds} s`;
}

function matches(finding) {
  if (filter.statuses.size && !filter.statuses.has(data.statuses[finding.status])) return false;
  if (filter.rule !== null && data.rules[finding.rule].id !== filter.rule) return false;
  if (filter.row !== null) {
    if (finding.row !== filter.row || finding.first > filter.last || finding.last < filter.first) return false;
  }
  if (!filter.words.length) return true;
  finding.text ??= [
    data.rules[finding.rule].id, finding.account, finding.region, finding.trail, finding.where, finding.message,
    finding.expected, finding.actual, ...finding.explained,
  ].join(" ").toLowerCase();
  return filter.words.every((word) => finding.text.includes(word));
}

function place(finding) {
  const parts = [finding.account, finding.region, finding.trail].filter((part) => part);
  if (finding.start !== null) {
    parts.push(finding.end !== null && finding.end > finding.start
      ? `${span(finding.start, finding.end)} UTC (${length(finding.end - finding.start)})`
      : `${stamp(finding.start)} UTC`);
  } else {
    parts.push("hours not known");
  }
  return parts;
}

function object(where) {
  // The folder of a key says little that its name does not say again.
  const cut = where.lastIndexOf("/", where.length - 2) + 1;
  return make("p", { class: "key" }, make("span", {}, where.slice(0, cut)), make("b", {}, where.slice(cut)));
}

function card(finding) {
  const status = data.statuses[finding.status];
  const evidence = [["expected", finding.expected], ["found", finding.actual]].filter(([, value]) => value !== null);
  const plain = finding.where === null || finding.cause !== null;
  return make(
    "article", { class: `finding ${status}` },
    finding.where === null ? null : object(finding.where),
    plain ? make("p", { class: "message" }, finding.message) : null,
    make("p", { class: "place" }, ...place(finding).map((part) => make("span", {}, part))),
    evidence.length
      ? make("dl", { class: "evidence" }, ...evidence.flatMap(([name, value]) => [
        make("dt", {}, name), make("dd", {}, value === "" ? "(empty)" : value),
      ]))
      : null,
    finding.explained.length
      ? make("div", { class: "explained" }, "Found out besides:",
        make("ul", {}, ...finding.explained.map((line) => make("li", {}, line))))
      : null,
    plain
      ? null
      : make("details", {}, make("summary", {}, "In words"), make("p", { class: "message" }, finding.message)),
  );
}

function heading(finding) {
  const rule = data.rules[finding.rule];
  const status = data.statuses[finding.status];
  const same = matching.filter((one) => one.rule === finding.rule && one.status === finding.status).length;
  return make(
    "div", { class: "rule" },
    make("h3", {}, make("span", { class: `badge ${status}` }, status), ` ${rule.title} `,
      make("small", {}, make("code", {}, rule.id), ` · ${count(same, "finding")}`)),
    make("p", {}, rule.means),
    rule.steps.length
      ? make("details", {}, make("summary", {}, "What to do next, and what it does not mean"),
        make("ol", {}, ...rule.steps.map((step) => make("li", {}, step))),
        make("p", {}, make("strong", {}, "It does not mean: "), rule.not))
      : null,
  );
}

function extend(size) {
  const list = byId("list");
  const end = Math.min(matching.length, shown + size);
  const fragment = document.createDocumentFragment();
  for (; shown < end; shown += 1) {
    const finding = matching[shown];
    const before = matching[shown - 1];
    if (!before || before.rule !== finding.rule || before.status !== finding.status) fragment.append(heading(finding));
    fragment.append(card(finding));
  }
  list.append(fragment);
  const more = byId("more");
  const left = matching.length - shown;
  more.hidden = left === 0;
  more.textContent = `Show ${number(Math.min(PAGE, left))} more of ${number(left)}`;
  byId("found").textContent = matching.length === findings.length
    ? `${count(findings.length, "finding")}${left ? `, ${number(shown)} shown` : ""}`
    : `${number(matching.length)} of ${count(findings.length, "finding")}${left ? `, ${number(shown)} shown` : ""}`;
}

function chip(label, clear) {
  return make("button", { type: "button", class: "chip", "aria-label": `Remove the filter: ${label}`, onclick: clear },
    `${label} ✕`);
}

function chips() {
  const list = [];
  if (filter.rule !== null) list.push(chip(`rule ${filter.rule}`, () => apply({ rule: null })));
  if (filter.row !== null) list.push(chip(placeLabel(), () => select(null)));
  byId("chips").replaceChildren(...list);
}

function placeLabel() {
  const row = data.heat.rows[filter.row];
  const whole = filter.first === 0 && filter.last === data.heat.columns - 1;
  return `${row.account} ${row.region}${whole ? "" : `, ${span(...columnSpan(filter.first))}`}`;
}

function apply(change) {
  Object.assign(filter, change);
  if (!findings.length) return;
  for (const button of document.querySelectorAll("[data-toggle]")) {
    button.setAttribute("aria-pressed", filter.statuses.has(button.dataset.toggle));
  }
  matching = findings.filter(matches);
  shown = 0;
  byId("list").replaceChildren();
  chips();
  extend(PAGE);
}

function toggle(event) {
  const statuses = new Set(filter.statuses);
  const status = event.currentTarget.dataset.toggle;
  if (!statuses.delete(status)) statuses.add(status);
  apply({ statuses });
}

function startFindings() {
  if (!findings.length) return;
  byId("filters").hidden = false;
  for (const button of document.querySelectorAll("[data-toggle]")) button.addEventListener("click", toggle);
  for (const link of document.querySelectorAll("[data-rule]")) {
    link.addEventListener("click", () => {
      apply({ rule: link.dataset.rule, statuses: new Set([link.dataset.status]) });
      byId("findings-title").focus({ preventScroll: true });
    });
  }
  let timer;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(timer);
    const words = event.target.value.toLowerCase().split(/\s+/).filter((word) => word);
    timer = setTimeout(() => apply({ words }), 120);
  });
  byId("more").addEventListener("click", () => extend(PAGE));
  apply({});
}

// On paper nothing unfolds: everything that is folded opens, and more findings are built.
const opened = [];
addEventListener("beforeprint", () => {
  if (findings.length && shown < PRINTED) extend(PRINTED - shown);
  for (const details of document.querySelectorAll(".rule details:not([open])")) {
    details.open = true;
    opened.push(details);
  }
});
addEventListener("afterprint", () => {
  for (const details of opened.splice(0)) details.open = false;
});
