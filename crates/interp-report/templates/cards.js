"use strict";
// Cards that can be filtered, sorted and looked into. What the controls say stands in the address, so that a view can be kept and sent:
// page.html#layer=features.3&sort=color

/** Cards that are added at a time. */
const BATCH = 24;
/** Faces alone are small. */
const FACES = 120;

/** An element with attributes and children; strings are text, never markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** An element of a drawing. */
function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A picture of a sheet: [sheet, left, top]. */
function picture(data, [sheet, left, top], attributes = { "aria-hidden": "true" }) {
  const { id, size } = data.sheets[sheet];
  const use = drawn("use", { href: "#" + id });
  return drawn("svg", { viewBox: [left, top, ...size].join(" "), ...attributes }, use);
}

/** The card as a list item; `look` is called when a picture with an original is chosen. */
function item(data, card, look) {
  const looks = element("div", { class: "looks" });
  if (card.face) looks.append(picture(data, card.face, { class: "face", role: "img", "aria-label": card.name }));
  for (const shot of card.shots) {
    const [view, name, original] = shot;
    const inside = [picture(data, view), element("span", {}, name)];
    if (original === undefined) {
      looks.append(element("span", { class: "shot" }, ...inside));
    } else {
      const button = element("button", { type: "button", class: "shot" }, ...inside);
      button.addEventListener("click", () => look(card, shot));
      looks.append(button);
    }
  }
  const made = element("li", { class: "card" }, element("h4", {}, card.name));
  if (card.tags.length) made.append(element("p", { class: "tags" }, ...card.tags.map((tag) => element("span", {}, tag))));
  made.append(looks);
  if (card.histogram) made.append(histogram(data, card.histogram));
  const known = data.measures.map((measure, at) => [measure.name, card.told[at]]).filter(([, told]) => told);
  if (known.length) made.append(element("dl", {}, ...known.map(([name, told]) => measured(name, told))));
  return made;
}

function histogram(data, { path, bins, ends, caption }) {
  const viewBox = `0 0 ${bins} ${data.height}`;
  const bars = drawn("svg", { viewBox, preserveAspectRatio: "none", role: "img", "aria-label": caption }, drawn("path", { d: path }));
  const words = [ends[0], caption, ends[1]].map((text) => element("span", {}, text));
  return element("div", { class: "histogram" }, bars, element("p", {}, ...words));
}

function measured(name, [value, rest]) {
  const said = element("dd", {}, value);
  if (rest) said.append(" ", element("small", {}, rest));
  return element("div", {}, element("dt", {}, name), said);
}

/** The whole picture with the part that was chosen. */
function look(data, dialog, card, [, name, original, [x, y, width, height]]) {
  const whole = data.originals[original];
  const [sheet, left, top] = whole.view;
  const size = data.sheets[sheet].size;
  // A part may reach beyond the picture.
  const [first, last] = [[Math.min(0, x), Math.min(0, y)], [Math.max(size[0], x + width), Math.max(size[1], y + height)]];
  const edge = (last[0] - first[0]) / 100;
  const viewBox = [first[0] - edge, first[1] - edge, last[0] - first[0] + 2 * edge, last[1] - first[1] + 2 * edge].join(" ");
  const inside = drawn("svg", { x: 0, y: 0, width: size[0], height: size[1], viewBox: [left, top, ...size].join(" ") });
  inside.append(drawn("use", { href: "#" + data.sheets[sheet].id }));
  const box = drawn("rect", { x, y, width, height, class: "part" });
  const heading = element("h4", {}, card.name);
  const close = element("form", { method: "dialog" }, element("button", {}, "Close"));
  dialog.replaceChildren(close, heading, drawn("svg", { viewBox, role: "img", "aria-label": whole.name }, inside, box));
  dialog.append(element("p", {}, `${whole.name}: ${name}`));
  if (whole.command) dialog.append(element("p", {}, "More of it: ", element("code", {}, whole.command)));
  dialog.showModal();
}

function labeled(text, control) {
  return element("label", {}, text, control);
}

/** A choice among [value, text]. */
function choice(name, options) {
  return element("select", { name }, ...options.map(([value, text]) => element("option", { value }, text)));
}

/** The controls, each called as in addresses. */
function fill(form, data) {
  const counts = (at) => {
    const found = new Map();
    for (const card of data.cards) found.set(card.facets[at], (found.get(card.facets[at]) ?? 0) + 1);
    return [...found].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  };
  const measures = data.measures.map(({ key, name }) => [key, name]);
  data.facets.forEach(({ key, name }, at) => {
    const values = counts(at).map(([value, count]) => [value, `${value} (${count})`]);
    form.append(labeled(name, choice(key, [["", "all"], ...values])));
  });
  form.append(labeled("sort by", choice("sort", [["", "as given"], ...measures])));
  form.append(labeled("order", choice("order", [["", "largest first"], ["least", "smallest first"]])));
  const range = element("span", { class: "range" }, choice("where", [["", "any number"], ...measures]));
  for (const end of ["from", "to"]) range.append(" ", element("input", { name: end, type: "number", step: "any", placeholder: end, "aria-label": end }));
  form.append(labeled("only where", range));
  form.append(labeled("find", element("input", { name: "find", type: "search" })));
  form.append(labeled("show", choice("view", [["", "cards"], ["faces", "faces alone"]])));
  form.append(element("button", { type: "reset" }, "Reset"));
}

/** What the controls say, without those that say nothing. */
function said(form) {
  return new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
}

/** Sets the controls to what stands in the address, unless that names a place of the page. */
function follow(form) {
  const given = location.hash.slice(1);
  if (!given.includes("=")) return;
  form.reset();
  for (const [name, value] of new URLSearchParams(given)) {
    const control = form.elements.namedItem(name);
    if (control) control.value = value;
  }
}

/** The cards that fit what was said, in its order. */
function chosen(data, wanted) {
  const place = (key) => data.measures.findIndex((measure) => measure.key === wanted.get(key));
  const [sort, where] = [place("sort"), place("where")];
  const [from, to] = [Number(wanted.get("from") ?? -Infinity), Number(wanted.get("to") ?? Infinity)];
  const words = (wanted.get("find") ?? "").toLowerCase();
  const fits = (card) =>
    data.facets.every(({ key }, at) => !wanted.has(key) || card.facets[at] === wanted.get(key)) &&
    (where < 0 || (card.values[where] !== null && card.values[where] >= from && card.values[where] <= to)) &&
    [card.name, ...card.facets, ...card.tags].some((text) => text.toLowerCase().includes(words));
  const found = data.cards.filter(fits);
  if (sort < 0) return found;
  const sign = wanted.get("order") === "least" ? 1 : -1;
  // What was not measured comes last in either order.
  const value = (card) => card.values[sort] ?? sign * Infinity;
  return found.sort((a, b) => (value(a) === value(b) ? 0 : sign * (value(a) - value(b))));
}

function browse(root) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const [form, count, list, more, dialog] = ["form", ".count", ".list", ".more", "dialog"].map((one) => root.querySelector(one));
  let found = [];
  let shown = 0;
  const add = () => {
    const batch = found.slice(shown, shown + (said(form).get("view") ? FACES : BATCH));
    list.append(...batch.map((card) => item(data, card, (...chosen) => look(data, dialog, ...chosen))));
    shown += batch.length;
    more.hidden = shown === found.length;
    count.textContent = `${shown} shown of ${found.length} that fit, of ${data.cards.length}.`;
  };
  const again = () => {
    found = chosen(data, said(form));
    shown = 0;
    list.replaceChildren();
    root.classList.toggle("faces", said(form).get("view") === "faces");
    add();
  };
  const changed = () => {
    history.replaceState(null, "", "#" + said(form));
    again();
  };
  fill(form, data);
  form.hidden = false;
  form.addEventListener("input", changed);
  form.addEventListener("reset", () => setTimeout(changed));
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", add);
  addEventListener("hashchange", () => {
    follow(form);
    again();
  });
  follow(form);
  again();
}

document.querySelectorAll(".cards").forEach(browse);
