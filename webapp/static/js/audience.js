// An audience's rules: rows come and go in place, and who they take in is counted while one types.

const form = document.querySelector("[data-audience]");
const rules = form.querySelector("[data-rules]");
const size = form.querySelector("[data-size-here]");
let asked;
let waiting;

for (const part of form.querySelectorAll("[data-plain]")) part.hidden = true;

const post = async (address, extra, signal) => {
  const data = new FormData(form);
  for (const [name, value] of Object.entries(extra)) data.set(name, value);
  const answer = await fetch(address, { method: "POST", body: data, signal });
  if (!answer.ok || answer.redirected) throw new Error(answer.status);
  return answer.text();
};

const count = () => {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    size.setAttribute("aria-busy", "true");
    try {
      size.innerHTML = await post(form.dataset.size, {}, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      size.textContent = "It can't be counted just now.";
    }
    size.removeAttribute("aria-busy");
  }, 500);
};

// The server draws the rows; where the keyboard was, it stays.
const reshape = async (pressed, focus) => {
  try {
    rules.innerHTML = await post(form.dataset.shape, { do: pressed });
  } catch {
    return false;
  }
  focus()?.focus();
  count();
  return true;
};

const last = (parts) => parts[parts.length - 1];

form.addEventListener("click", async (event) => {
  const button = event.target.closest('button[name="do"]');
  if (!button) return;
  event.preventDefault();
  const { value } = button;
  if (value === "count") return count();
  const [what, where] = value.split(":");
  const prefix = ["r", ...(where ? [where] : [])].join("-");
  const asks = () => [...rules.querySelectorAll(`select[name^="${prefix}-"][name$="-ask"]`)];
  const place = () => (what === "drop" ? rules.querySelector("button") : last(asks()));
  if (!(await reshape(value, place))) form.requestSubmit(button);
});

form.addEventListener("change", (event) => {
  const { target } = event;
  if (target.matches("[data-reshapes]")) {
    const { id } = target;
    reshape("", () => document.getElementById(id)?.parentElement.querySelector("input, summary") ?? document.getElementById(id));
  } else if (!target.matches("[data-find]")) {
    count();
  }
});
form.addEventListener("input", (event) => {
  if (!event.target.matches("select, [name=name], [data-find]")) count();
});

// A long list of choices is searched rather than scrolled.
rules.addEventListener("toggle", ({ target }) => {
  const list = target.querySelector("fieldset");
  const choices = [...list.querySelectorAll("label")];
  if (!target.open || choices.length < 12) return;
  let find = list.querySelector("[data-find]");
  if (!find) {
    find = document.createElement("input");
    Object.assign(find, { type: "search", placeholder: "Find", autocomplete: "off" });
    find.setAttribute("aria-label", "Find in this list");
    find.dataset.find = "";
    find.addEventListener("input", () => {
      const wanted = find.value.trim().toLowerCase();
      for (const each of choices) each.hidden = !each.textContent.toLowerCase().includes(wanted);
    });
    find.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault();
    });
    list.prepend(find);
  }
  find.focus();
}, true);

// A list of choices closes when one goes on elsewhere, and says what was chosen.
form.addEventListener("change", ({ target }) => {
  const picker = target.closest(".picker");
  if (!picker) return;
  const chosen = [...picker.querySelectorAll(":checked")].map((box) => box.parentElement.textContent.trim());
  picker.querySelector("summary").textContent = chosen.join(", ") || picker.dataset.unpicked;
});
document.addEventListener("click", ({ target }) => {
  for (const open of form.querySelectorAll(".picker[open]")) {
    if (!open.contains(target)) open.open = false;
  }
});
