// Tells the shop what visitors do: pages seen, buttons and links pressed, scripts that failed.
// Whoever asks not to be tracked is left alone: no id is made, nothing leaves the browser.

const DAY = 24 * 60 * 60 * 1000;
const KEEP_VISITOR = 395 * DAY;
const KEEP_CODES = 5 * DAY;
const MAX_EVENTS = 20;
const MAX_LETTERS = 12_000;
const MAX_WAITING = 100;
const MAX_ERRORS = 5;
const WAIT = 3000;
const TRIES = 3;
const CODE = /^[\w-]{1,64}$/;
const MESSAGE = 300;
const LABEL = 60;
const PATH = 500;

const declined = navigator.doNotTrack === "1" || navigator.globalPrivacyControl === true;

// Storage may be switched off or full; then a page remembers by itself.
function recall(storage, name) {
  try {
    return JSON.parse(window[storage].getItem(name));
  } catch {
    return null;
  }
}

function keep(storage, name, value) {
  try {
    if (value === null) window[storage].removeItem(name);
    else window[storage].setItem(name, JSON.stringify(value));
  } catch {
    // Not kept, then.
  }
}

// Without HTTPS browsers have no randomUUID.
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// By letters, not by halves of one: a cut emoji is no text.
function cut(text, letters) {
  return [...String(text ?? "").replace(/\s+/g, " ").trim()].slice(0, letters).join("");
}

function knowVisitor(now) {
  const known = recall("localStorage", "visitor");
  if (known?.id && now - known.since < KEEP_VISITOR) return known.id;
  const id = newId();
  keep("localStorage", "visitor", { id, since: now });
  return id;
}

// The last ad and the last mail that led here count, for five days.
function knowCodes(now) {
  const codes = recall("localStorage", "codes") ?? {};
  const query = new URLSearchParams(location.search);
  for (const name of ["ad", "em"]) {
    const code = query.get(name);
    if (code && CODE.test(code)) codes[name] = { code, at: now };
    else if (!(now - codes[name]?.at < KEEP_CODES)) delete codes[name];
  }
  keep("localStorage", "codes", codes);
  return Object.fromEntries(Object.entries(codes).map(([name, { code }]) => [name, code]));
}

// A path on this site, the host of another one, nothing for mailto and the like.
function placeOf(address) {
  try {
    const url = new URL(address, location.href);
    if (url.origin === location.origin) return url.pathname.slice(0, PATH);
    return url.protocol.startsWith("http") ? url.host.slice(0, 253) : undefined;
  } catch {
    return undefined;
  }
}

function putAway(events) {
  if (!events.length) return;
  const before = recall("sessionStorage", "events") ?? [];
  keep("sessionStorage", "events", [...before, ...events].slice(-MAX_WAITING));
}

function takeBack() {
  const events = recall("sessionStorage", "events") ?? [];
  keep("sessionStorage", "events", null);
  return events;
}

function start() {
  const visitor = knowVisitor(Date.now());
  const codes = knowCodes(Date.now());
  const waiting = takeBack();
  let underWay = [];
  const told = new Set();
  let unwanted = false;
  let submitted = false;
  let failures = 0;
  let timer;
  let sending = false;

  function note(kind, more) {
    if (unwanted || waiting.length >= MAX_WAITING) return;
    const path = location.pathname.slice(0, PATH);
    waiting.push({ id: newId(), kind, visitor, at: Date.now(), path, ...codes, ...more });
    wake();
  }

  function wake() {
    if (!timer && waiting.length && !unwanted && failures < TRIES) {
      timer = setTimeout(send, WAIT * 2 ** failures);
    }
  }

  function takeBatch() {
    let count = Math.min(waiting.length, MAX_EVENTS);
    while (count > 1 && JSON.stringify(waiting.slice(0, count)).length > MAX_LETTERS) count -= 1;
    return waiting.splice(0, count);
  }

  async function getToken() {
    const known = recall("sessionStorage", "events-token");
    if (known) return known;
    const answer = await fetch("/events/token", { headers: { Accept: "application/json" } });
    if (answer.status === 204) {
      unwanted = true;
      waiting.length = 0;
      return null;
    }
    if (!answer.ok) throw new Error(`no token: ${answer.status}`);
    const { token } = await answer.json();
    keep("sessionStorage", "events-token", token);
    return token;
  }

  // Some pages send no referrer, and without one the server refuses: the origin alone will do.
  function post(batch, token) {
    return fetch("/events", {
      method: "POST",
      keepalive: true,
      referrerPolicy: "origin",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": token },
      body: JSON.stringify({ events: batch }),
    });
  }

  // 400 is a token of a session that is over: a login or logout came between.
  async function deliver(batch) {
    let token = await getToken();
    if (token === null) return;
    let answer = await post(batch, token);
    if (answer.status === 400) {
      keep("sessionStorage", "events-token", null);
      token = await getToken();
      if (token === null) return;
      answer = await post(batch, token);
    }
    // What is refused for good is dropped; the same event sent twice counts once.
    if (answer.status === 400 || answer.status === 429 || answer.status >= 500) {
      throw new Error(`not taken: ${answer.status}`);
    }
  }

  async function send() {
    timer = undefined;
    if (sending || unwanted) return;
    sending = true;
    underWay = takeBatch();
    try {
      if (underWay.length) await deliver(underWay);
      failures = 0;
    } catch {
      failures += 1;
      waiting.unshift(...underWay);
    }
    underWay = [];
    sending = false;
    wake();
  }

  // With a token everything goes now, without one it waits for this tab's next page. A form may
  // log somebody in, and then the token is none any more: so after one both is done.
  function leave() {
    // What hasn't arrived yet goes once more: it counts once.
    waiting.unshift(...underWay);
    underWay = [];
    const token = recall("sessionStorage", "events-token");
    if (!token || submitted) putAway(waiting);
    while (token && waiting.length) post(takeBatch(), token).catch(() => {});
    waiting.length = 0;
  }

  function comeBack() {
    submitted = false;
    waiting.push(...takeBack());
    wake();
  }

  function noteView() {
    const from = document.referrer ? placeOf(document.referrer) : undefined;
    note("page_view", { referrer: from && !from.startsWith("/") ? from : undefined });
  }

  function notePress({ target, isTrusted }) {
    const pressed = isTrusted && target instanceof Element && target.closest("a[href], button, summary");
    if (!pressed) return;
    const link = pressed.matches("a");
    note(link ? "link" : "button", {
      name: cut(pressed.dataset.event, LABEL),
      text: cut(pressed.textContent, LABEL) || cut(pressed.getAttribute("aria-label"), LABEL),
      to: link ? placeOf(pressed.href) : undefined,
    });
  }

  // What a browser's extension breaks is none of ours.
  function noteError(message, address, line) {
    const source = address ? placeOf(address) : location.pathname.slice(0, PATH);
    const short = cut(message, MESSAGE);
    const key = `${short} ${source} ${line}`;
    if (source === undefined || told.has(key) || told.size >= MAX_ERRORS) return;
    told.add(key);
    note("script_error", { message: short, source, line: line > 0 ? line : undefined });
  }

  addEventListener("error", (event) => {
    if (event.message) noteError(event.message, event.filename, event.lineno);
  });
  addEventListener("unhandledrejection", ({ reason }) => {
    noteError(`Unhandled: ${reason?.message ?? reason}`);
  });
  document.addEventListener("securitypolicyviolation", (event) => {
    const { blockedURI, effectiveDirective, sourceFile, lineNumber } = event;
    const blocked = (blockedURI.includes(":") && placeOf(blockedURI)) || blockedURI.split(":")[0];
    noteError(`CSP ${effectiveDirective}: ${blocked}`, sourceFile, lineNumber);
  });
  document.addEventListener("click", notePress, { capture: true });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") leave();
    else comeBack();
  });
  document.addEventListener("submit", () => {
    submitted = true;
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    comeBack();
    noteView();
  });
  if (document.prerendering) document.addEventListener("prerenderingchange", noteView, { once: true });
  else noteView();
}

if (declined) {
  for (const name of ["visitor", "codes"]) keep("localStorage", name, null);
  for (const name of ["events", "events-token"]) keep("sessionStorage", name, null);
} else {
  start();
}
