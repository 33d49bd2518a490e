/* Who is reading? Billing knows; without it the link stays "Đăng nhập". Article pages hear it from paywall.js, which
   asks anyway; other pages ask here. */
(() => {
  "use strict";
  const link = document.getElementById("account");
  if (!link) return;
  const { billing, agency } = link.dataset;
  const back = `?return_to=${encodeURIComponent(location.href.split("#")[0])}`;
  const show = (session) => {
    const page = session.signed_in ? "account" : "sign-in";
    link.textContent = session.signed_in ? "Tài khoản" : "Đăng nhập";
    link.href = `${billing}/r/${encodeURIComponent(agency)}/${page}${back}`;
  };
  show({ signed_in: false });
  document.addEventListener("paywall:session", (event) => show(event.detail));
  if (!document.querySelector("script[src$='/paywall.js']")) {
    fetch(`${billing}/v1/agencies/${encodeURIComponent(agency)}/session`, { credentials: "include" })
      .then((answer) => (answer.ok ? answer.json() : { signed_in: false }))
      .then(show, () => show({ signed_in: false }));
  }
})();
