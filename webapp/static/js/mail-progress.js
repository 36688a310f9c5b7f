// How far a mail has come, asked for each second until it is over; at another stage the page is
// another. Without this module it shows the same when it is loaded again.

const stage = document.querySelector("[data-progress]");
const panel = document.querySelector("#progress");
const spoken = panel?.querySelector("[data-spoken]");
let lastSpoken = "";

function show(news) {
  for (const cell of panel.querySelectorAll("[data-figure]")) {
    const text = news.figures[cell.dataset.figure];
    if (text !== undefined && cell.textContent !== text) cell.textContent = text;
  }
  panel.querySelector("progress").value = news.percent;
  const chart = panel.querySelector("[data-chart]");
  if (chart.dataset.drawn !== news.chart) {
    chart.dataset.drawn = news.chart;
    chart.innerHTML = news.chart;
  }
  // A screen reader hears each tenth once, not every second.
  if (news.spoken !== lastSpoken) {
    lastSpoken = news.spoken;
    spoken.textContent = news.spoken;
  }
}

async function ask() {
  let pause = 1000;
  try {
    const answer = await fetch(stage.dataset.progress, { headers: { Accept: "application/json" } });
    if (answer.redirected || answer.status === 403 || answer.status === 404) return;
    if (!answer.ok) throw new Error(String(answer.status));
    const news = await answer.json();
    if (news.stage !== stage.dataset.stage) {
      location.reload();
      return;
    }
    if (panel) show(news);
    if (news.over) return;
  } catch {
    pause = 5000;
  }
  setTimeout(ask, document.hidden ? 5000 : pause);
}

if (stage) setTimeout(ask, 1000);
