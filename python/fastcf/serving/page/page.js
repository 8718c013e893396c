// The page: who gets a list, their picks, the list, and what it is made of.

import { ask, get } from "./api.js";
import { element, explanation, listRow, nameOf, pickRow, relatedList } from "./parts.js";

const most = (n) => Math.min(n, model.limits.n);
const by = (id) => document.getElementById(id);
const key = (item) => String(item.item);

let model = null; // GET model
let picks = []; // {item, title, rating}, the latest last
let ranks = null; // of the list that is shown, by item; null before the first
let asking = null; // the request for a list that is under way
let soon = 0; // the timer of a search that waits for more letters
let searching = null; // the search that is under way

// ------------------------------------------------------------------------------------------------ troubles

function trouble(error) {
  by("trouble").textContent = error ? error.message : "";
  by("trouble").hidden = !error;
}

async function trying(work) {
  try {
    const result = await work();
    trouble(null);
    return result;
  } catch (error) {
    if (error.name !== "AbortError") trouble(error);
    return null;
  }
}

// ---------------------------------------------------------------------------------------------- the model

function describe() {
  const count = (n, what) => `${n.toLocaleString("en")} ${what}`;
  by("model").textContent =
    `${model.model}, ${count(model.n_users, "users")}, ${count(model.n_items, "items")}, version ${model.version.slice(0, 12)}`;
}

async function noticeVersion(version) {
  if (version === model.version) return;
  model = await get("model");
  describe();
}

// ------------------------------------------------------------------------------------------------ the list

const mode = () => document.querySelector("input[name=mode]:checked").value;

function visitor() {
  if (mode() === "user") return { user: by("user").value.trim() };
  return { history: picks.map(({ item, rating }) => ({ item, rating })) };
}

function heading() {
  if (mode() === "user") return by("user").value.trim() ? `Recommended to user ${by("user").value.trim()}` : "Recommended";
  return picks.length ? "Recommended by the picks" : "What a stranger gets";
}

async function showList() {
  by("list-title").textContent = heading();
  if (mode() === "user" && !by("user").value.trim()) {
    by("recommended").replaceChildren();
    by("list-status").textContent = "Give the id of a user.";
    return;
  }
  asking?.abort();
  asking = new AbortController();
  const n = most(Number(by("length").value));
  by("recommended").setAttribute("aria-busy", "true");
  const found = await trying(() => ask("recommend", { ...visitor(), n }, asking.signal));
  if (found === null) return; // another request is under way, or there is trouble
  await noticeVersion(found.version);
  by("recommended").setAttribute("aria-busy", "false");
  const before = ranks;
  const inList = by("recommended").contains(document.activeElement);
  ranks = new Map(found.items.map((item, place) => [key(item), place + 1]));
  const top = Math.max(...found.items.map((item) => item.score), 0);
  const { low, high } = model.scale ?? { low: null };
  const share = (score) => (low === null ? score / (top || 1) : (score - low) / (high - low));
  const canPick = mode() === "history";
  by("recommended").replaceChildren(...found.items.map((item, place) => listRow(item, place + 1, {
    before: before === null ? null : before.get(key(item)),
    share: Math.min(1, Math.max(0, share(item.score))),
    picked: isPicked(item),
    pick: canPick ? () => add(item) : null,
    why: (panel) => fill(panel, () => why(item)),
    related: (panel) => fill(panel, async () =>
      relatedList(await ask("similar", { item: item.item, n: most(6) }), isPicked, canPick ? add : null)),
  })));
  by("list-status").textContent = changes(found, before);
  if (inList) by("recommended").focus(); // the button that was pressed is gone
}

// By items of the history or whatever the model is made of; a blend by its members, and by items.
async function why(item) {
  const asked = { ...visitor(), item: item.item, n: most(8) };
  const found = await ask("explain", asked);
  const first = explanation(found, `Why ${nameOf(item)} is here`);
  if (found.kind !== "member") return first;
  const byItem = await ask("explain", { ...asked, by: "item" });
  return byItem.shares.length ? element("div", {}, first, explanation(byItem, "By items of the history")) : first;
}

async function fill(panel, made) {
  panel.replaceChildren(element("p", {}, "…"));
  try {
    panel.replaceChildren(await made());
  } catch (error) {
    panel.replaceChildren(element("p", {}, error.message));
  }
}

function changes(found, before) {
  if (!found.items.length) return "Nothing is left to recommend.";
  const stranger = mode() === "user" && !found.known ? "The model does not know this user: this is a cold start. " : "";
  if (before === null) return `${stranger}The best ${found.items.length} of ${model.n_items.toLocaleString("en")} items.`;
  const fresh = found.items.filter((item) => !before.has(key(item))).length;
  const moved = found.items.filter((item, place) => before.has(key(item)) && before.get(key(item)) !== place + 1).length;
  const news = [fresh && `${fresh} new`, moved && `${moved} moved`].filter(Boolean).join(", ");
  return `${stranger}${news ? `Of ${found.items.length} items: ${news}.` : "The same list as before."}`;
}

// ------------------------------------------------------------------------------------------------ the picks

const isPicked = (item) => picks.some((pick) => key(pick) === key(item));

function showPicks() {
  by("picks").replaceChildren(...picks.map((pick) => pickRow(
    pick, model.scale,
    (rating) => { pick.rating = rating; showList(); },
    () => remove(pick),
  )));
  by("no-picks").hidden = picks.length > 0;
  by("clear").hidden = picks.length === 0;
}

function add(item) {
  if (isPicked(item)) return;
  picks.push({ item: item.item, title: item.title, rating: model.scale.liked });
  showPicks();
  showList();
}

function remove(pick) {
  const place = picks.indexOf(pick);
  picks.splice(place, 1);
  showPicks();
  const next = by("picks").children[Math.min(place, picks.length - 1)];
  (next?.querySelector("button") ?? by("words")).focus();
  showList();
}

async function showSeen() {
  by("seen").hidden = true;
  const found = await get("seen", { user: by("user").value.trim(), n: most(200) }).catch(() => null); // a cold start has none
  if (found === null) return;
  by("seen-items").replaceChildren(...found.items.map((item) => element("li", {}, nameOf(item))));
  by("seen").hidden = false;
}

// ----------------------------------------------------------------------------------------------- the search

async function search() {
  searching?.abort();
  const words = by("words").value.trim();
  if (!words) return showFound([], "");
  searching = new AbortController();
  const found = await trying(() => get("search", { words, n: most(12) }, searching.signal));
  if (found === null) return;
  const left = found.items.filter((item) => !isPicked(item));
  showFound(left, left.length ? `${left.length} found` : "Nothing found");
}

function showFound(items, status) {
  by("found-status").textContent = status;
  const none = status && !items.length ? [element("li", { class: "help" }, status)] : [];
  by("found").replaceChildren(...none, ...items.map((item) => element("li", {},
    element("button", { type: "button", onclick: () => choose(item), "aria-label": `Add ${nameOf(item)}` }, nameOf(item)))));
  by("found").hidden = !status;
}

function choose(item) {
  add(item);
  by("words").value = "";
  showFound([], "");
  by("found-status").textContent = `${nameOf(item)} added`;
  by("words").focus();
}

// Arrow keys walk from the field through what was found; Escape leads back and empties it.
function walk(event) {
  const stops = [by("words"), ...by("found").querySelectorAll("button")];
  const place = stops.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (place >= 0 && step !== undefined && stops.length > 1) {
    event.preventDefault();
    stops[(place + step + stops.length) % stops.length].focus();
  } else if (event.key === "Escape") {
    by("words").value = "";
    showFound([], "");
    by("words").focus();
  }
}

// ------------------------------------------------------------------------------------------------- the start

function switchMode() {
  by("history-mode").hidden = mode() !== "history";
  by("user-mode").hidden = mode() !== "user";
  ranks = null; // lists of different people are not compared
  showList();
}

function listen() {
  by("words").addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(search, 120); });
  for (const part of ["search", "found"]) by(part).addEventListener("keydown", walk);
  by("search").addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(soon);
    await search(); // what was typed last may not have been looked for
    by("found").querySelector("button")?.click();
  });
  by("clear").addEventListener("click", () => { picks = []; showPicks(); showList(); by("words").focus(); });
  by("length").addEventListener("change", () => { ranks = null; showList(); });
  by("modes").addEventListener("change", switchMode);
  by("user-mode").addEventListener("submit", (event) => {
    event.preventDefault();
    ranks = null;
    showList();
    showSeen();
  });
}

async function start() {
  model = await trying(() => get("model"));
  if (model === null) return;
  describe();
  listen();
  if (model.lacks.history) {
    by("modes").hidden = true;
    document.querySelector("input[name=mode][value=user]").checked = true;
    by("user-mode").prepend(element("p", { class: "help" }, `${model.lacks.history}: lists of users only.`));
    switchMode();
    return;
  }
  showPicks();
  await showList();
}

start();
