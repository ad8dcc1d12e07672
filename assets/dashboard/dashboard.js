// The dashboard's only script. Every page works without it; with it, pages are live, times are in the reader's zone, and dialogs ask.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- Times: relative text that stays current, exact text in the reader's zone ----

const exactFormat = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const exactZoned = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
const axisFormats = {
  minute: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }),
  day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
};

// The same words as the server's, so that the text does not change when the script takes over.
function duration(seconds) {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 10 && Math.floor(seconds % 60) ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
}

function relative(at) {
  const seconds = (Date.now() - at) / 1000;
  const distance = Math.abs(seconds);
  if (distance < 5) return "now";
  let text;
  if (distance < 60) text = `${Math.floor(distance)} s`;
  else if (distance < 3600) text = `${Math.floor(distance / 60)} min`;
  else if (distance < 86400) text = `${Math.floor(distance / 3600)} h`;
  else if (distance < 86400 * 60) text = `${Math.floor(distance / 86400)} d`;
  else return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(at);
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function tellTimes(root = document) {
  for (const node of $$("time[datetime]", root)) {
    const at = new Date(node.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const data = node.dataset;
    if ("relative" in data) { setText(node, relative(at)); node.title = exactZoned.format(at); }
    else if ("elapsed" in data) { setText(node, duration((Date.now() - at) / 1000)); node.title = exactZoned.format(at); }
    else if ("exact" in data) { setText(node, exactFormat.format(at)); node.title = relative(at); }
    else if ("clock" in data) setText(node, clockFormat.format(at));
    else if (data.axis) setText(node, axisFormats[data.axis].format(at));
  }
}

// ---- Morph: makes a live region like its new version, and keeps focus, scroll, selection and what is open ----

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "");
const isLike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    // What the reader has opened stays open.
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name === "open" && old.nodeName === "DETAILS") continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.nodeName === "TIME" && old.dateTime === fresh.getAttribute("datetime")) return;
  if (["INPUT", "SELECT", "TEXTAREA", "IFRAME"].includes(old.nodeName)) return;
  morphAttributes(old, fresh);
  const keyed = new Map();
  for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  const freshKeys = new Set([...fresh.childNodes].map(keyOf).filter(Boolean));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const key = keyOf(child);
    let match = key ? keyed.get(key) : null;
    while (!key && at && keyOf(at) && !freshKeys.has(keyOf(at))) { const gone = at; at = at.nextSibling; gone.remove(); }
    if (!key && at && isLike(at, child)) match = at;
    if (match && isLike(match, child)) {
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      morph(match, child);
    } else {
      old.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}

function isBusy(region) {
  const selection = getSelection();
  if (!selection.isCollapsed && region.contains(selection.anchorNode)) return true;
  return region.matches(":active") || Boolean($("dialog[open]"));
}

// ---- Live: the server says that something changed; the page fetches itself and changes what differs ----

const live = { url: document.body.dataset.live, on: true, source: null, seenAt: Date.now(), pending: false, running: false, downTimer: 0, retryTimer: 0 };
const LOST_AFTER_MS = 2500;
const RETRY_EVERY_MS = 2000;

function showLost(lost) {
  const banner = $("#unreachable");
  if (!banner || banner.hidden === !lost) return;
  if (lost) setText($("[data-last-seen]", banner), new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(live.seenAt));
  banner.hidden = !lost;
  if (!lost) $("#announce").textContent = "The server answers again.";
}

async function refresh() {
  if (live.running) { live.pending = true; return; }
  live.running = true;
  live.pending = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html", "x-live": "1" }, credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(10000) });
    if (answer.type === "opaqueredirect" || answer.status === 401) { $("#signed-out").hidden = false; stop(); return; }
    if (answer.status >= 502 && answer.status <= 504) throw new Error("unreachable");
    reached();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.body.dataset.version !== document.body.dataset.version) { location.reload(); return; }
    for (const region of $$("[data-morph]")) {
      const fresh = $(`[data-morph="${region.dataset.morph}"]`, page);
      if (fresh && !("still" in region.dataset) && !isBusy(region)) morph(region, fresh);
    }
    tellTimes();
    find();
  } catch {
    lost();
  } finally {
    live.running = false;
    if (live.pending) setTimeout(refresh, 300);
  }
}

function reached() {
  live.seenAt = Date.now();
  clearTimeout(live.downTimer);
  live.downTimer = 0;
  showLost(false);
}

function lost() {
  if (!live.downTimer) live.downTimer = setTimeout(() => showLost(true), LOST_AFTER_MS);
  clearTimeout(live.retryTimer);
  live.retryTimer = setTimeout(() => { if (!live.source || live.source.readyState !== EventSource.OPEN) connect(); refresh(); }, RETRY_EVERY_MS);
}

function connect() {
  live.source?.close();
  const source = new EventSource(live.url);
  live.source = source;
  source.addEventListener("open", () => { reached(); refresh(); });
  source.addEventListener("change", () => { live.seenAt = Date.now(); if (!document.hidden) refresh(); });
  source.addEventListener("error", () => { if (live.source === source && live.on) { source.close(); lost(); } });
}

function stop() {
  live.source?.close();
  live.source = null;
  clearTimeout(live.retryTimer);
  clearTimeout(live.downTimer);
  live.downTimer = 0;
}

function startLive() {
  const button = $("[data-live-switch]");
  if (!live.url || !button || !$("[data-morph]")) return;
  button.hidden = false;
  const set = (on) => {
    live.on = on;
    button.setAttribute("aria-pressed", String(on));
    setText($("span", button), on ? "Live" : "Paused");
    if (on) connect(); else stop();
  };
  button.addEventListener("click", () => { set(!live.on); sessionStorage.setItem("live", live.on ? "on" : "off"); });
  set(sessionStorage.getItem("live") !== "off");
  document.addEventListener("visibilitychange", () => { if (!document.hidden && live.on && live.source) refresh(); });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted && live.on) connect(); });
}

// ---- Small things ----

function find() {
  for (const input of $$("[data-find]")) {
    const words = input.value.trim().toLowerCase().split(/\s+/);
    const list = document.getElementById(input.dataset.find);
    for (const item of $$("[data-text]", list)) item.hidden = !words.every((word) => item.dataset.text.toLowerCase().includes(word));
    for (const section of $$("section", list)) section.hidden = !$("[data-text]:not([hidden])", section);
  }
}

function showType(form) {
  const type = $("[data-type]:checked", form)?.value;
  for (const part of $$("[data-for]", form)) {
    part.hidden = part.dataset.for !== type;
    for (const input of $$("input, select, textarea", part)) input.disabled = part.hidden;
  }
}

let previewTimer = 0;
function preview(form) {
  clearTimeout(previewTimer);
  previewTimer = setTimeout(async () => {
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin", redirect: "manual" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      $("#preview").replaceChildren(...[...page.body.childNodes].map((node) => document.importNode(node, true)));
      tellTimes($("#preview"));
    } catch { /* The banner tells that the server does not answer. */ }
  }, 250);
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("done");
  $("#announce").textContent = "Copied.";
  setTimeout(() => button.classList.remove("done"), 1500);
}

function setTheme(button) {
  const theme = button.value;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const other of $$(".themes button")) other.setAttribute("aria-pressed", String(other === button));
  const form = button.form;
  const body = new URLSearchParams(new FormData(form, button));
  fetch(form.action, { method: "POST", body, credentials: "same-origin", redirect: "manual" }).catch(() => {});
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-dialog], [data-close], [data-copy], .themes button");
  if (!target) return;
  if (target.dataset.dialog) document.getElementById(target.dataset.dialog)?.showModal();
  else if ("close" in target.dataset) target.closest("dialog").close();
  else if (target.dataset.copy !== undefined) copy(target);
  else { event.preventDefault(); setTheme(target); }
});
// A click beside a dialog closes it.
document.addEventListener("pointerdown", (event) => {
  if (event.target.nodeName !== "DIALOG") return;
  const box = event.target.getBoundingClientRect();
  const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
  if (!inside) event.target.close();
});
// Nothing is submitted twice by a double click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") {
    for (const input of $$("input, select", form)) if (input.name && !input.value) input.disabled = true;
    return;
  }
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, 3000);
});
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (!form) return;
  if ("auto" in form.dataset && event.target.nodeName === "SELECT") form.requestSubmit();
  if ("type" in event.target.dataset) showType(form);
  if (form.dataset.preview) preview(form);
});
document.addEventListener("input", (event) => {
  if (event.target.dataset.find) find();
  if (event.target.form?.dataset.preview) preview(event.target.form);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, textarea, select, dialog")) {
    const search = $("[data-search], [data-find]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
  if (event.key === "Escape" && location.hash === "#nav") location.hash = "#main";
});

// ---- The figure under the pointer ----

const tip = $(".tip");
document.addEventListener("pointermove", (event) => {
  const hit = event.target.closest?.("[data-tip]");
  if (!tip || !hit) { if (tip) tip.hidden = true; return; }
  const at = hit.dataset.at ? `${exactFormat.format(new Date(hit.dataset.at))}\n` : "";
  setText(tip, at + hit.dataset.tip);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - box.width - 8);
  const y = event.clientY - box.height - 12 < 8 ? event.clientY + 18 : event.clientY - box.height - 12;
  tip.style.transform = `translate(${x}px, ${y}px)`;
});

for (const form of $$("form:has([data-type])")) showType(form);
const wrong = $("dialog .has-error");
if (wrong) wrong.closest("dialog").showModal();
tellTimes();
setInterval(() => { if (!document.hidden) tellTimes(); }, 1000);
startLive();
