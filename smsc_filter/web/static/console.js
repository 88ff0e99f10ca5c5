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
  const curve = document.querySelector(`[data-curve="${slider.dataset.follows}"]`);
  const points = curve ? [...curve.querySelectorAll("[data-threshold]")] : [];
  const far = (point) => Math.abs(point.dataset.threshold - number.value);
  // The curve follows while the slider moves; what recent messages make of it is asked when it stops.
  const follow = () => {
    if (!points.length) return;
    const nearest = points.reduce((best, each) => (far(each) < far(best) ? each : best));
    const mark = curve.querySelector(".then"), dot = nearest.querySelector(".dot");
    mark.setAttribute("cx", dot.getAttribute("cx"));
    mark.setAttribute("cy", dot.getAttribute("cy"));
    number.form.querySelector(`[data-says="${number.id}"]`).textContent = nearest.querySelector("title").textContent;
  };
  slider.addEventListener("input", () => { number.value = slider.value; follow(); });
  slider.addEventListener("change", () => { number.form.requestSubmit(); });
  number.addEventListener("input", () => { slider.value = number.value; follow(); });
}
