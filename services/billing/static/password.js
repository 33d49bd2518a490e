// A button beside a password's field shows what was typed. Without script the button is not there.
(() => {
  "use strict";
  for (const button of document.querySelectorAll("button[data-looks-at]")) {
    const field = document.getElementById(button.dataset.looksAt);
    const show = button.textContent;
    const look = (seen) => {
      field.type = seen ? "text" : "password";
      button.textContent = seen ? button.dataset.hide : show;
      button.setAttribute("aria-pressed", String(seen));
    };
    button.hidden = false;
    button.addEventListener("click", () => look(field.type === "password"));
    // Sent as a password: browsers remember what was typed into a field of text.
    field.form.addEventListener("submit", () => look(false));
  }
})();
