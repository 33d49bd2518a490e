/* Who is reading? Billing knows; without it the link stays "Đăng nhập". Article pages hear it from paywall.js, which
   asks anyway; other pages ask here, also when they come back from the browser's back/forward cache. */
(() => {
  "use strict";
  const link = document.getElementById("account");
  const plans = document.getElementById("plans");
  if (!link) return;
  const { billing, agency, in: signedIn, out: signedOut } = link.dataset;
  const pages = `${billing}/r/${encodeURIComponent(agency)}`;
  const english = document.documentElement.lang === "en" ? "&lang=en" : "";
  const back = `?return_to=${encodeURIComponent(location.href.split("#")[0])}${english}`;
  if (plans) plans.href = `${pages}/plans${back}`;
  const show = (session) => {
    link.textContent = session.signed_in ? signedIn : signedOut;
    link.href = `${pages}/${session.signed_in ? "account" : "sign-in"}${back}`;
  };
  const ask = () =>
    fetch(`${billing}/v1/agencies/${encodeURIComponent(agency)}/session`, { credentials: "include" })
      .then((answer) => (answer.ok ? answer.json() : { signed_in: false }))
      .then(show, () => show({ signed_in: false }));
  show({ signed_in: false });
  document.addEventListener("paywall:session", (event) => show(event.detail));
  if (document.querySelector("script[src$='/paywall.js']")) return;
  ask();
  addEventListener("pageshow", (event) => {
    if (event.persisted) ask();
  });
})();
