// Pieces of the page as elements. Nothing here keeps state; texts never become markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const nameOf = (item) => item.title ?? String(item.item);

export function number(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

const signed = (value) => `${value < 0 ? "−" : "+"}${number(Math.abs(value))}`;

// A control for the rating of a pick: a slider where ratings have a scale, else two choices.
export function ratingOf(pick, scale, changed) {
  const name = nameOf(pick);
  if (scale.low !== null && scale.step !== null) {
    const output = element("output", {}, String(pick.rating));
    const slider = element("input", {
      type: "range", min: scale.low, max: scale.high, step: scale.step, value: pick.rating,
      "aria-label": `Rating of ${name}`,
      oninput: (event) => { output.value = event.target.value; },
      onchange: (event) => changed(Number(event.target.value)),
    });
    return element("p", { class: "rating" }, slider, output);
  }
  const choice = (text, rating) => element("label", {},
    element("input", {
      type: "radio", name: `rating-${pick.item}`, checked: pick.rating === rating, onchange: () => changed(rating),
    }),
    element("span", {}, text));
  return element("fieldset", { class: "choice" },
    element("legend", { class: "hidden" }, `Rating of ${name}`),
    choice("Liked", scale.liked), choice("Not for me", scale.disliked));
}

export function pickRow(pick, scale, changed, removed) {
  return element("li", { "data-item": pick.item },
    element("span", { class: "title" }, nameOf(pick)),
    element("button", { type: "button", class: "quiet", onclick: removed, "aria-label": `Remove ${nameOf(pick)}` }, "Remove"),
    ratingOf(pick, scale, changed));
}

// Where an item stood in the list before: a sign for the eye, words for a screen reader.
function changeOf(rank, before) {
  if (before === null) return null;
  const was = before;
  if (was === undefined) return ["new", "new", "new in the list"];
  if (was > rank) return ["up", `▲ ${was - rank}`, `up ${was - rank}`];
  if (was < rank) return ["down", `▼ ${rank - was}`, `down ${rank - was}`];
  return null;
}

// An item of the list: `before` is its former rank, undefined where it is new, null where nothing is compared.
export function listRow(item, rank, { before, share, picked, pick, why, related }) {
  const name = nameOf(item);
  const change = changeOf(rank, before);
  const panel = element("div", { class: "panel", id: `panel-${rank}`, hidden: true });
  const toggles = [];
  const toggle = (text, label, fill) => {
    const button = element("button", {
      type: "button", "aria-expanded": "false", "aria-controls": panel.id, "aria-label": label,
      onclick: async () => {
        const open = button.getAttribute("aria-expanded") === "false";
        for (const other of toggles) other.setAttribute("aria-expanded", "false");
        button.setAttribute("aria-expanded", String(open));
        panel.hidden = !open;
        if (open) await fill(panel);
      },
    }, text);
    toggles.push(button);
    return button;
  };
  const row = element("li", { class: before === undefined ? "arrived" : null },
    element("div", { class: "item" },
      element("span", { class: "rank" }, `${rank}.`),
      element("span", {},
        element("span", { class: "title" }, name),
        change && element("span", { class: `change ${change[0]}`, "aria-hidden": "true" }, change[1]),
        change && element("span", { class: "hidden" }, `, ${change[2]}`)),
      element("span", { class: "score" }, element("span", { class: "hidden" }, "score "), number(item.score)),
      element("div", { class: "more" },
        element("span", { class: "bar", "aria-hidden": "true" }, element("i", { "data-share": share })),
        pick && element("button", { type: "button", disabled: picked, onclick: pick, "aria-label": `Pick ${name}` }, "Pick"),
        why && toggle("Why?", `Why? ${name}`, why),
        related && toggle("Related", `Related to ${name}`, related))),
    panel);
  row.querySelector(".bar i").style.width = `${100 * share}%`; // by script: the page allows no style in markup
  return row;
}

// What a score is made of: constants, the largest shares, and the sum of the others.
export function explanation(found, title) {
  const others = found.n_rest ? [[`${found.n_rest.toLocaleString("en")} more`, found.rest]] : [];
  const left = Math.abs(found.unexplained) > 1e-5 * Math.max(1, Math.abs(found.score)) ? [["unexplained", found.unexplained]] : [];
  const lines = [
    ...Object.entries(found.base).filter(([, value]) => value !== 0),
    ...found.shares.map((share) => [share.title ?? (found.kind === "user" ? `user ${share.id}` : share.id), share.value]),
    ...others, ...left,
  ];
  const most = Math.max(...lines.map(([, value]) => Math.abs(value)), 1e-12);
  const row = ([name, value]) => {
    const bar = element("i", { class: value < 0 ? "less" : null });
    bar.style.width = `${(100 * Math.abs(value)) / most}%`;
    return element("tr", {},
      element("th", { scope: "row" }, String(name)),
      element("td", { class: "share", "aria-hidden": "true" }, bar),
      element("td", { class: "value" }, signed(value)));
  };
  const sum = element("tr", { class: "sum" },
    element("th", { scope: "row" }, "Score"), element("td"), element("td", { class: "value" }, number(found.score)));
  return element("div", {},
    element("h3", {}, title),
    element("table", {},
      element("caption", { class: "hidden" }, `What the score of ${nameOf(found)} is made of`),
      element("tbody", {}, ...lines.map(row), sum)));
}

export function relatedList(found, isPicked, pick) {
  const rows = found.items.flatMap((item) => [
    element("span", {}, nameOf(item)),
    element("span", { class: "score" }, element("span", { class: "hidden" }, "similarity "), number(item.score)),
    pick
      ? element("button", { type: "button", disabled: isPicked(item), onclick: () => pick(item), "aria-label": `Pick ${nameOf(item)}` }, "Pick")
      : element("span"),
  ]);
  return element("div", {},
    element("h3", {}, `Related to ${nameOf(found)}`),
    found.items.length ? element("div", { class: "related" }, ...rows) : element("p", {}, "Nothing is related to it."));
}
