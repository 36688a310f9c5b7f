// Back office tables: one box that ticks all rows, and actions that wait for a ticked row.

for (const all of document.querySelectorAll("[data-tick-all]")) {
  const form = all.form ?? all.closest("form, table");
  const boxes = [...form.querySelectorAll('tbody input[type="checkbox"]')];
  const actions = [...form.querySelectorAll("[data-needs-rows]")];
  const settle = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked > 0 && ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
    for (const action of actions) action.disabled = ticked === 0;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    settle();
  });
  form.addEventListener("change", settle);
  settle();
}
