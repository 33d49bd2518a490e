// Comfort only: the page works without it. Groups the card number, and sends the form once.
const form = document.getElementById("pay-form");
const number = document.getElementById("number");
const expiry = document.getElementById("expiry");
number?.addEventListener("input", () => {
  number.value = number.value.replace(/\D/g, "").slice(0, 19).replace(/(.{4})(?=.)/g, "$1 ");
});
expiry?.addEventListener("input", (event) => {
  const figures = expiry.value.replace(/\D/g, "").slice(0, 4);
  const typing = event.inputType !== "deleteContentBackward";
  expiry.value = figures.length > 2 || (figures.length === 2 && typing)
    ? `${figures.slice(0, 2)} / ${figures.slice(2)}`
    : figures;
});
form.addEventListener("submit", () => {
  form.querySelector("button[type=submit]").disabled = true;
});
window.addEventListener("pageshow", () => {
  form.querySelector("button[type=submit]").disabled = false;
});
