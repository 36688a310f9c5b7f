// Small comforts on every page; each page works without them.

// If the buyer presses twice, one request leaves. A page brought back from memory is usable again.
for (const form of document.querySelectorAll("[data-once], [data-buy]")) {
  form.addEventListener("submit", (event) => {
    if (form.getAttribute("aria-busy") === "true") event.preventDefault();
    else form.setAttribute("aria-busy", "true");
  });
}
addEventListener("pageshow", () => {
  for (const busy of document.querySelectorAll("form[aria-busy]")) busy.removeAttribute("aria-busy");
});

// On a phone the sections of an account slide: the current one is in sight.
const section = document.querySelector(".account-nav [aria-current]");
if (section) {
  const row = section.closest("ul");
  row.scrollLeft = section.offsetLeft - (row.clientWidth - section.offsetWidth) / 2;
}

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
}, true);

const isChosen = (field) => field.matches("select, [type=checkbox], [type=radio]");
const isChanged = (field) => {
  if (field.matches("select")) {
    const options = [...field.options];
    return !(options.find((option) => option.defaultSelected) ?? options[0]).selected;
  }
  if (isChosen(field)) return field.checked !== field.defaultChecked;
  return field.matches("input") && field.value !== field.defaultValue;
};

for (const form of document.querySelectorAll("form[data-autosubmit]")) {
  for (const button of form.querySelectorAll("[data-fallback]")) button.hidden = true;
  let waiting;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => form.reportValidity() && form.requestSubmit(), 450);
  };
  form.addEventListener("change", soon);
  // On a slow line somebody was quicker than this script: what they changed before it came counts
  // too. A word they still type tells of itself when it is done.
  const isTyped = (field) => field === document.activeElement && !isChosen(field);
  if ([...form.elements].some((field) => isChanged(field) && !isTyped(field))) soon();
}

for (const box of document.querySelectorAll("[data-quantity]")) {
  const input = box.querySelector("input");
  const buttons = [...box.querySelectorAll("button")];
  const settle = () => {
    for (const button of buttons) {
      button.disabled = button.dataset.step < 0
        ? Number(input.value) <= Number(input.min)
        : Number(input.value) >= Number(input.max);
    }
  };
  box.classList.add("stepped");
  for (const button of buttons) {
    button.hidden = false;
    button.addEventListener("click", () => {
      if (button.dataset.step < 0) input.stepDown();
      else input.stepUp();
      settle();
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
  input.addEventListener("input", settle);
  settle();
}
