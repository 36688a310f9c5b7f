// Ticks off what a new password must meet while it is typed. The server decides in the end.

const WAIT = 350;

const local = {
  length: (word) => [...word].length >= 10,
  capital: (word) => /\p{Lu}/u.test(word),
  special: (word) => /[^\p{L}\p{N}\s]/u.test(word),
  email: (word, email) => !resembles(word.toLowerCase(), email.trim().toLowerCase()),
};

function resembles(word, email) {
  const [name, domain = ""] = email.split("@");
  const parts = [name, domain.split(".")[0], ...name.split(/[^a-z0-9]+/)];
  return parts.some((part) => part.length >= 4 && word.includes(part));
}

function watch(box) {
  const input = document.getElementById(box.dataset.rulesFor);
  const typed = document.getElementById(box.dataset.emailFrom);
  const status = box.querySelector("[role=status]");
  const items = new Map([...box.querySelectorAll("[data-rule]")].map((item) => [item.dataset.rule, item]));
  let waiting;
  let asking;

  const email = () => typed?.value ?? box.dataset.email;
  // met: true, false, or undefined while nobody knows.
  const mark = (rule, met) => {
    const item = items.get(rule);
    if (!item) return;
    if (met === undefined) delete item.dataset.met;
    else item.dataset.met = met ? "yes" : "no";
  };
  const tell = () => {
    const missing = [...items.values()].filter((item) => item.dataset.met !== "yes");
    status.textContent = missing.length
      ? `Still missing: ${missing.map((item) => item.textContent).join("; ")}`
      : "The password meets every rule.";
  };

  async function ask(word) {
    asking = new AbortController();
    const token = input.form.querySelector("[name=csrf_token]")?.value ?? "";
    try {
      const answer = await fetch(box.dataset.check, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": token },
        body: JSON.stringify({ password: word, email: email() }),
        signal: asking.signal,
      });
      if (!answer.ok) return;
      const { missing } = await answer.json();
      for (const rule of items.keys()) mark(rule, !missing.includes(rule));
      tell();
    } catch {
      // Away or overtaken by the next letter: the rule stays open, the server looks when it is sent.
    }
  }

  function look() {
    const word = input.value;
    asking?.abort();
    clearTimeout(waiting);
    if (!word) {
      for (const rule of items.keys()) mark(rule, undefined);
      status.textContent = "";
      return;
    }
    const met = Object.entries(local).map(([rule, test]) => {
      const good = test(word, email());
      mark(rule, good);
      return good;
    });
    mark("common", undefined);
    waiting = setTimeout(() => (met.every(Boolean) ? ask(word) : tell()), WAIT);
  }

  input.addEventListener("input", look);
  typed?.addEventListener("change", look);
  look();
}

for (const box of document.querySelectorAll("[data-rules-for]")) watch(box);
