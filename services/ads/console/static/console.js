/* Countdown of holds, and "/" to search. */
(function () {
  "use strict";
  function two(n) { return (n < 10 ? "0" : "") + n; }
  function tick() {
    document.querySelectorAll("time[data-countdown]").forEach(function (time) {
      var left = Math.floor((Date.parse(time.dateTime) - Date.now()) / 1000);
      if (left <= 0) {
        time.textContent = "0:00";
        time.classList.add("over");
        if (time.hasAttribute("data-reload")) {
          time.removeAttribute("data-reload");
          setTimeout(function () { location.reload(); }, 2000);
        }
        return;
      }
      var hours = Math.floor(left / 3600);
      time.textContent = (hours ? hours + ":" + two(Math.floor(left / 60) % 60) : Math.floor(left / 60)) + ":" + two(left % 60);
      time.classList.toggle("soon", left < 300);
    });
  }
  tick();
  setInterval(tick, 1000);
  document.addEventListener("htmx:afterSwap", tick);
  document.addEventListener("keydown", function (event) {
    var box = document.querySelector("[data-hotkey='/']");
    if (event.key === "/" && box && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      box.focus();
    }
  });
})();
