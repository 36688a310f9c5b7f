// The desk of one mail: its look beside the words, variables to insert, a guard over what isn't
// saved. Without this module every button of the page does the same by loading it anew.

const form = document.querySelector("#editor");
const looker = form ?? document.querySelector("#looker");
const glass = document.querySelector("[data-look]");
const DESKTOP = 700;

const chosen = () => document.querySelector('[name="look_as"]:checked')?.value ?? "desktop";

// The desktop's width is kept and made smaller, so that lines break where they will.
function fit() {
  const room = glass.clientWidth;
  const scale = chosen() === "desktop" ? Math.min(1, room / DESKTOP) : 1;
  glass.style.setProperty("--scale", String(scale));
  glass.dataset.as = chosen();
}

let frames = 0;

// A frame of its own each time: the one in sight stays until its successor is there, and the
// browser's way back isn't filled with them.
function look() {
  const old = glass.querySelector("iframe");
  const frame = old.cloneNode(false);
  frame.removeAttribute("src");
  frame.name = `look-${(frames += 1)}`;
  frame.classList.add("coming");
  glass.append(frame);
  const button = document.querySelector("button[data-look-button], [data-look-button] button");
  button.formTarget = frame.name;
  looker.requestSubmit(button);
  frame.addEventListener("load", () => {
    for (const each of [...glass.querySelectorAll("iframe")]) {
      if (each === frame) break;
      each.remove();
    }
    frame.classList.remove("coming");
  });
}

async function judge() {
  const at = form?.dataset.live;
  if (!at) return;
  const number = (judge.asked = (judge.asked ?? 0) + 1);
  try {
    const answer = await fetch(at, { method: "POST", body: new FormData(form) });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (number !== judge.asked) return;
    for (const part of page.querySelectorAll("[data-part]")) {
      const here = document.querySelector(`main [data-part="${part.dataset.part}"]`);
      if (here && here.innerHTML !== part.innerHTML) here.replaceChildren(...part.childNodes);
    }
  } catch {
    // Away for a moment: the next change asks again.
  }
}

let waiting;
function soon(pause = 600) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    look();
    judge();
  }, pause);
}

// What decides how it looks, not what is saved.
const ours = (name) => name.startsWith("look_") || name === "csrf_token";

function written() {
  const pairs = [...new FormData(form)].filter(([name]) => !ours(name));
  return JSON.stringify(pairs);
}

function guard() {
  const before = form.hasAttribute("data-changed") ? "" : written();
  const state = form.querySelector("[data-unsaved]");
  const isChanged = () => written() !== before;
  const settle = () => {
    state.hidden = !isChanged();
  };
  let leaving = false;
  form.addEventListener("input", settle);
  form.addEventListener("submit", (event) => {
    if (event.submitter?.formTarget) return;
    if (leaving) event.preventDefault();
    leaving = true;
    form.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    leaving = false;
    settle();
  });
  addEventListener("beforeunload", (event) => {
    if (!leaving && isChanged()) event.preventDefault();
  });
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      form.requestSubmit(form.querySelector("[data-save]"));
    }
  });
}

function insertable() {
  let field = form.querySelector('textarea[data-insertable]');
  form.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-insertable]")) field = event.target;
  });
  for (const button of form.querySelectorAll("[data-insert]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const at = field.selectionStart;
      const { insert, over } = button.dataset;
      field.focus();
      field.setRangeText(insert, at, field.selectionEnd, "end");
      // What is said without a value is to be typed over.
      const place = over ? at + insert.lastIndexOf(over) : 0;
      if (place) field.setSelectionRange(place, place + over.length);
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
}

if (glass) {
  new ResizeObserver(fit).observe(glass);
  document.addEventListener("change", (event) => {
    if (!event.target.name?.startsWith("look_")) return;
    fit();
    look();
    judge();
  });
  // Enter in a field about the look means: show it, not: save.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.name?.startsWith("look_")) return;
    event.preventDefault();
    event.target.blur();
  });
  for (const button of document.querySelectorAll("[data-look-button]")) button.hidden = true;
  fit();
}

if (form) {
  guard();
  insertable();
  form.addEventListener("input", (event) => {
    if (!ours(event.target.name ?? "")) soon();
  });
  // Links may be being tried by a job: what it finds shows up by itself.
  if (document.querySelector("[data-unchecked]")) {
    for (const pause of [2500, 6000, 12000]) setTimeout(judge, pause);
  }
  // Whoever opens a variant's words sees that one.
  for (const each of form.querySelectorAll("details[data-variant]")) {
    each.addEventListener("toggle", () => {
      const select = document.querySelector('[name="look_variant"]');
      if (!each.open || !select || select.value === each.dataset.variant) return;
      select.value = each.dataset.variant;
      soon(0);
    });
  }
}
