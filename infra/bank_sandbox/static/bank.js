// Comfort only: the page works without it. Groups the amount, and sends the form once.
const form = document.getElementById("transfer-form");
const amount = document.getElementById("amount");
amount.addEventListener("input", () => {
  const figures = amount.value.replace(/\D/g, "").replace(/^0+(?=\d)/, "").slice(0, 13);
  amount.value = figures.replace(/\B(?=(\d{3})+$)/g, ".");
});
form.addEventListener("submit", () => {
  form.querySelector("button[type=submit]").disabled = true;
});
window.addEventListener("pageshow", () => {
  form.querySelector("button[type=submit]").disabled = false;
});
