// Turns a list of variants into a choice per option, and keeps price, stock and picture in step.

const form = document.querySelector("[data-buy]");
const strip = document.querySelector(".strip");

function show(picture) {
  if (!strip || !picture) return;
  strip.scrollTo({ left: picture.offsetLeft - strip.offsetLeft });
}

function shownPrice(variant) {
  const parts = document.createElement("span");
  parts.className = "price";
  const now = document.createElement("span");
  now.textContent = variant.dataset.price;
  parts.append(now);
  if (variant.dataset.compare) {
    now.className = "now";
    const before = document.createElement("del");
    before.textContent = variant.dataset.compare;
    parts.append(before);
  }
  return parts;
}

function describe(variant) {
  for (const place of document.querySelectorAll('[data-shown="price"]')) {
    place.replaceChildren(shownPrice(variant));
  }
  const stock = form.querySelector('[data-shown="stock"]');
  stock.textContent = variant.dataset.stock;
  stock.className = `stock ${variant.dataset.tone}`;
  const add = form.querySelector("[data-add]");
  add.disabled = variant.disabled;
  add.textContent = variant.disabled ? variant.dataset.stock : add.dataset.add;
  const url = variant.dataset.picture;
  if (url) show([...strip.children].find((item) => item.dataset.url === url));
}

// The variant that has this value and otherwise stays nearest to what was chosen; in stock first.
function nearest(variants, wanted, index) {
  const score = ({ values, input }) =>
    values.filter((value, at) => value === wanted[at]).length * 2 + (input.disabled ? 0 : 1);
  return variants
    .filter(({ values }) => values[index] === wanted[index])
    .sort((one, other) => score(other) - score(one))[0];
}

function chip(name, value, pick) {
  const label = document.createElement("label");
  label.className = "chip";
  const input = document.createElement("input");
  input.type = "radio";
  input.name = name;
  input.value = value;
  input.setAttribute("form", "none");
  input.addEventListener("change", pick);
  const text = document.createElement("span");
  text.textContent = value;
  label.append(input, text);
  return label;
}

function offerOptions(list) {
  const names = JSON.parse(list.dataset.options);
  const variants = [...list.querySelectorAll("input")].map((input) => ({
    input,
    values: JSON.parse(input.dataset.values),
  }));
  if (variants.some(({ values }) => values.length !== names.length)) return;
  let chosen = variants.find(({ input }) => input.checked) ?? variants[0];

  const groups = names.map((name, index) => {
    const group = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.className = "label";
    legend.textContent = name;
    const chips = document.createElement("div");
    chips.className = "chips";
    for (const value of new Set(variants.map(({ values }) => values[index]))) {
      chips.append(chip(`option-${index}`, value, () => choose(nearest(variants, chosen.values.with(index, value), index))));
    }
    group.append(legend, chips);
    return group;
  });

  function choose(variant) {
    chosen = variant;
    variant.input.checked = true;
    groups.forEach((group, index) => {
      for (const input of group.querySelectorAll("input")) {
        input.checked = input.value === chosen.values[index];
        const wanted = chosen.values.with(index, input.value);
        const there = variants.find(({ values }) => values.every((value, at) => value === wanted[at]));
        input.parentElement.classList.toggle("gone", !there || there.input.disabled);
      }
    });
    describe(variant.input);
  }

  list.before(...groups);
  list.hidden = true;
  choose(chosen);
}

if (form) {
  const list = form.querySelector("[data-options]");
  if (list && Array.prototype.with) offerOptions(list);
  form.addEventListener("change", ({ target }) => {
    if (target.name !== "sku_id") return;
    describe(target.selectedOptions?.[0] ?? target);
  });
}

const thumbs = [...document.querySelectorAll(".thumbs a")];
for (const thumb of thumbs) {
  thumb.addEventListener("click", (event) => {
    event.preventDefault();
    show(document.querySelector(thumb.hash));
  });
}
if (strip && thumbs.length) {
  const watcher = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      for (const thumb of thumbs) {
        if (thumb.hash === `#${target.id}`) thumb.setAttribute("aria-current", "true");
        else thumb.removeAttribute("aria-current");
      }
    }
  }, { root: strip, threshold: 0.6 });
  for (const picture of strip.children) watcher.observe(picture);
}
