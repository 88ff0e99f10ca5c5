// What pages do by themselves where scripts run: a part that updates itself, and a slider beside its number.
"use strict";

for (const part of document.querySelectorAll("[data-refresh]")) {
  const stale = document.getElementById(part.dataset.stale);
  const update = async () => {
    if (document.hidden || part.contains(document.activeElement)) return;
    try {
      const answer = await fetch(part.dataset.refresh, { headers: { "X-Fragment": "1" }, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      part.innerHTML = await answer.text();
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  };
  setInterval(update, Number(part.dataset.seconds) * 1000);
}

for (const slider of document.querySelectorAll("[data-follows]")) {
  const number = document.getElementById(slider.dataset.follows);
  slider.addEventListener("input", () => { number.value = slider.value; });
  slider.addEventListener("change", () => { number.form.requestSubmit(); });
  number.addEventListener("input", () => { slider.value = number.value; });
}
