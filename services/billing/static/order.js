// The order's page: asks whether the money is there and shows the page anew when something is new; copies with one press.
(() => {
  "use strict";
  const order = document.querySelector(".order");
  if (!order) return;
  for (const button of order.querySelectorAll(".copy")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const word = button.textContent;
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = word; }, 1500);
    });
  }
  if (order.dataset.state !== "open") return;
  if (order.dataset.confirming) setTimeout(() => location.reload(), 3_000); // the provider is asked again
  const started = Date.now();
  let failures = 0;
  const look = async () => {
    if (document.visibilityState === "visible") {
      try {
        const answer = await fetch(order.dataset.look, { headers: { Accept: "application/json" }, redirect: "error" });
        if (!answer.ok) throw new Error(String(answer.status));
        const now = await answer.json();
        failures = 0;
        const seen = [order.dataset.state, order.dataset.received, order.dataset.collecting].join();
        if ([now.state, now.received_vnd, now.collecting].join() !== seen) {
          location.reload();
          return;
        }
      } catch {
        failures += 1; // a server that is away is asked less and less often
      }
    }
    const patience = Date.now() - started < 120_000 ? 500 : 3_000;
    setTimeout(look, Math.min(patience * 2 ** failures, 30_000));
  };
  document.addEventListener("visibilitychange", () => { failures = 0; });
  setTimeout(look, 500);
})();
